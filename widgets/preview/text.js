// Text as Python writes it.

/**
 * A value as Python source.
 * @param {any} value
 */
export function source(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
