// Runs tests, and those that failed once more, with nothing beside them. What fails twice fails the run. What failed once is named at
// the end: it depends on what else the machine does, which is a bug of the test or of the program, and is mended like any other.
//
//     steady.mjs cargo ARGUMENTS…               `cargo test` with these arguments; again, the targets of it that failed
//     steady.mjs node CONCURRENCY FILES…        each file of tests by itself, so many at a time; again, the files that failed
//     steady.mjs whole COMMAND ARGUMENTS…       a suite that cannot be divided; again, all of it
import { spawn } from "node:child_process";

/** Runs a command, passes its output on as it comes or (`held`) at its end, and gives its exit status and what it wrote. */
function run(command, words, { held = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"] });
    const pieces = [];
    for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
      from.on("data", (piece) => {
        pieces.push(piece);
        if (!held) to.write(piece);
      });
    }
    child.once("error", reject);
    child.once("close", (status, signal) => {
      const output = Buffer.concat(pieces).toString();
      if (held) process.stdout.write(output);
      resolve({ status: status ?? signal, output });
    });
  });
}

/** Runs each of `commands` once more, one after the other; says which of them fail again. */
async function again(commands) {
  const broken = [];
  for (const { name, command, words } of commands) {
    console.log(`\nonce more, alone: ${name}`);
    if ((await run(command, words)).status !== 0) broken.push(name);
  }
  return broken;
}

async function cargo(words) {
  const { status, output } = await run("cargo", ["test", "--no-fail-fast", ...words]);
  if (status === 0) return { failed: [], broken: [] };
  // The list at the end of what `cargo test --no-fail-fast` says: a package and a target of it on each line. The whole workspace is named
  // again, for another choice of packages would be built with other features.
  const targets = [...output.matchAll(/^ {4}`(?:-p \S+ )?(--lib|--doc|--(?:test|bin|example|bench) \S+)`$/gm)].map(([, target]) => target);
  const failed = [...new Set(targets)].map((target) => ({ name: target, command: "cargo", words: ["test", ...words, ...target.split(" ")] }));
  // Nothing was run, or it ended in another way: there is nothing to run again.
  return failed.length === 0 ? { failed, broken: ["cargo test"] } : { failed, broken: await again(failed) };
}

async function node(concurrency, files) {
  const failed = [];
  const waiting = files.map((file) => ({ name: file, command: process.execPath, words: ["--test", "--test-reporter=tap", file] }));
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if ((await run(next.command, next.words, { held: true })).status !== 0) failed.push(next);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return { failed, broken: await again(failed) };
}

async function whole(command, words) {
  const suite = { name: command, command, words };
  if ((await run(command, words)).status === 0) return { failed: [], broken: [] };
  return { failed: [suite], broken: await again([suite]) };
}

const [kind, first, ...words] = process.argv.slice(2);
const kinds = { cargo: () => cargo([first, ...words]), node: () => node(Number(first), words), whole: () => whole(first, words) };
const { failed, broken } = await kinds[kind]();
for (const { name } of failed) if (!broken.includes(name)) console.log(`UNSTEADY: ${name} failed once, and not when it was run alone: mend it`);
for (const name of broken) console.log(`FAILED: ${name}`);
process.exitCode = broken.length === 0 ? 0 : 1;
