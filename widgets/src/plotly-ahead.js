// A widget without a view: it brings plotly.js to the page while the user still reads or types.

import { defineWidget, makeStore } from "./lifecycle.js";
import { plotly } from "./page.js";

export default defineWidget({
  name: "plotly.js",
  createStore: () => makeStore({}),
  ready: (_, model) => plotly(model).then(() => model.send({ type: "loaded" })),
  render: () => {},
});
