// For the type checker only; nothing of it is shipped. A widget writes `@param {import("../types").AnyModel} model`.
export type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";

declare global {
  /** The page's plotly.js, or the promise of it; Curves and Parallel share it. */
  // biome-ignore lint/suspicious/noExplicitAny: plotly's own types are as big as nbtune
  var __nbtunePlotly: Promise<any> | undefined;
}
