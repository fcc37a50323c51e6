// All chapters, in the order of the flow.

import { chapter as tokens } from "./tokens.js";
import { chapter as embedding } from "./embedding.js";
import { chapter as drift } from "./drift.js";
import { chapter as queries } from "./queries.js";
import { chapter as mask } from "./mask.js";
import { chapter as softmax } from "./softmax.js";
import { chapter as values } from "./values.js";
import { chapter as heads } from "./heads.js";
import { chapter as mlp } from "./mlp.js";
import { chapter as again } from "./again.js";
import { chapter as last } from "./last.js";
import { chapter as unembedding } from "./unembedding.js";
import { chapter as weights } from "./weights.js";
import { chapter as context } from "./context.js";
import { chapter as chat } from "./chat.js";
import { chapter as learning } from "./learning.js";

export const CHAPTERS = [tokens, embedding, drift, queries, mask, softmax, values, heads, mlp, again, last, unembedding, weights, context, chat, learning];
