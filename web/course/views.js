// The views of the flow that chapters open.

import { view as attention } from "../flow/attention.js";
import { view as head } from "../flow/head.js";
import { view as heads } from "../flow/heads.js";
import { view as last } from "../flow/last.js";
import { view as lens } from "../flow/lens.js";
import { view as mlp } from "../flow/mlp.js";
import { view as next } from "../flow/next.js";
import { view as why } from "../flow/why.js";

export const VIEWS = { attention, head, heads, last, lens, mlp, next, why };
