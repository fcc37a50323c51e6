// Runs a test program compiled for WASI: node tools/wasm_run.mjs PROGRAM [ARGUMENT…]. For tools/wasm_tests. It gives what such a
// program needs: arguments, a clock, random numbers, output, and no files. (Node's own WASI sometimes ends with a fault in memory
// after all tests, in version 20.)

import { readFileSync, writeSync } from "node:fs";

const args = process.argv.slice(2);
const texts = args.map((text) => new TextEncoder().encode(`${text}\0`));
const [DONE, BAD_FILE] = [0, 8];
let memory;
const view = () => new DataView(memory.buffer);

/** Writes texts into memory, and where each of them begins. */
function lay(places, at) {
  for (const text of texts) {
    view().setUint32(places, at, true);
    new Uint8Array(memory.buffer).set(text, at);
    places += 4;
    at += text.length;
  }
  return DONE;
}

const given = {
  args_sizes_get(count, size) {
    view().setUint32(count, texts.length, true);
    view().setUint32(size, texts.reduce((sum, text) => sum + text.length, 0), true);
    return DONE;
  },
  args_get: lay,
  environ_sizes_get(count, size) {
    view().setUint32(count, 0, true);
    view().setUint32(size, 0, true);
    return DONE;
  },
  environ_get: () => DONE,
  clock_time_get(clock, precision, to) {
    view().setBigUint64(to, process.hrtime.bigint(), true);
    return DONE;
  },
  random_get(to, len) {
    crypto.getRandomValues(new Uint8Array(memory.buffer, to, len));
    return DONE;
  },
  fd_write(file, parts, count, written) {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const [at, len] = [0, 4].map((skipped) => view().getUint32(parts + 8 * i + skipped, true));
      writeSync(file, new Uint8Array(memory.buffer, at, len));
      sum += len;
    }
    view().setUint32(written, sum, true);
    return DONE;
  },
  // The only wait is for a clock, and no test depends on how long it takes.
  poll_oneoff(waits, events, count, happened) {
    view().setUint32(happened, count, true);
    new Uint8Array(memory.buffer, events, 32 * count).fill(0);
    return DONE;
  },
  sched_yield: () => DONE,
  proc_exit: (code) => process.exit(code),
};

const module = new WebAssembly.Module(readFileSync(args[0]));
const others = WebAssembly.Module.imports(module).map(({ name }) => [name, () => BAD_FILE]);
const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: { ...Object.fromEntries(others), ...given } });
memory = instance.exports.memory;
instance.exports._start();
