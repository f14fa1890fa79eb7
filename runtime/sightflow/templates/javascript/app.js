// What `componentize-qjs` makes a component of: the blocks, and how the host calls them.

import "./blocks.js";

export { blocks } from "./sightflow-block.js";
