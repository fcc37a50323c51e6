// Questions about the model, answered by the server: one request each, whose answer is a line of JSON after lines of
// frames.

import { bodyOf } from "./api.js";

/** Asks the server. Resolves to the answer; `onFrame` gets the frames before it. */
export async function askServer(question, { signal, onFrame } = {}) {
  const reader = (await bodyOf("v1/explain", question, signal)).pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (value ?? "")).split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines.filter(Boolean)) {
      const { frame, answer, error } = JSON.parse(line);
      if (error) throw new Error(error.message);
      if (answer !== undefined) return answer;
      onFrame?.(frame);
    }
    if (done) throw new Error("The server ended its answer too early.");
  }
}
