// Errors of the library crates have their sources: whoever prints one walks down `source()`, and is told everything once.
// An error that a field of an error is of, is its `source()` and no part of its text; where the type is for its crate alone the
// text may tell it instead, but not both. An error whose text is that of another one is `transparent`. A variant that comes
// without fails here, and so does a public function that fails with a string.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const blankStrings = (text) => text.replace(/"(?:[^"\\]|\\[^])*"/g, (string) => `"${" ".repeat(string.length - 2)}"`);
const blank = (found) => found.replace(/[^\n]/g, " ");
/** Where the bracket that opens at `start` closes. */
const closing = (text, start) => {
  const code = blankStrings(text.slice(start));
  let depth = 0;
  for (let at = 0; at < code.length; at += 1) {
    if ("([{".includes(code[at])) depth += 1;
    if (")]}".includes(code[at]) && (depth -= 1) === 0) return start + at;
  }
  throw new Error(`a bracket is not closed: ${text.slice(start, start + 80)}`);
};
/** The program without its comments and its unit tests. */
const bare = (program) => program.replace(/^\s*\/\/.*$/gm, blank).replace(/^#\[cfg\(test\)\]\n(?:pub\S* )?mod \w+ \{[^]*/m, "");
/** The parts between commas that are in no bracket. `<` opens one, but for the arrows of functions. */
const parts = (list) => {
  const [found, code] = [[""], blankStrings(list)];
  let depth = 0;
  for (let at = 0; at < list.length; at += 1) {
    if ("([{<".includes(code[at])) depth += 1;
    if (")]}".includes(code[at]) || (code[at] === ">" && !"-=".includes(code[at - 1]))) depth -= 1;
    if (code[at] === "," && depth === 0) found.push("");
    else found[found.length - 1] += list[at];
  }
  return found.map((part) => part.trim()).filter(Boolean);
};
/** The attributes before an item, and the item. */
const attributed = (text) => {
  const attributes = [];
  let rest = text.trim();
  while (rest.startsWith("#[")) {
    const end = closing(rest, 1) + 1;
    attributes.push(rest.slice(2, end - 1));
    rest = rest.slice(end).trim();
  }
  return { attributes, rest };
};
/** The fields of a variant or struct, each with its name or number. */
const fieldsOf = (body) => {
  const isNamed = body.startsWith("{");
  return parts(body.slice(1, -1)).map((text, number) => {
    const { attributes, rest } = attributed(text);
    const [, name, type] = isNamed ? rest.match(/^(?:pub(?:\([^)]*\))? )?(\w+): ([^]*)$/) : [, String(number), rest.replace(/^pub(?:\([^)]*\))? /, "")];
    return { name, type, isSource: name === "source" || attributes.some((attribute) => /^(?:source|from)$/.test(attribute)) };
  });
};

/** The errors that a program defines: what each can be, with its words and its fields. */
const errorsOf = (program) => {
  const code = bare(program);
  const found = [];
  for (const head of code.matchAll(/^ *#\[derive\([^)]*\bError\b[^)]*\)\]/gm)) {
    const { attributes, rest } = attributed(code.slice(head.index));
    const [declaration, visibility, kind, name] = rest.match(/^(pub(?:\([^)]*\))? )?(enum|struct) (\w+)(?:<[^>]*>)?\s*/);
    const isPublic = visibility === "pub ";
    const body = rest.slice(declaration.length);
    const inner = /^[({]/.test(body) ? body.slice(0, closing(body, 0) + 1) : "()";
    const one = (label, attributes, body) => {
      const words = attributes.find((attribute) => attribute.startsWith("error("))?.slice("error(".length, -1);
      found.push({ name: label, isPublic, words, fields: fieldsOf(body) });
    };
    if (kind === "struct") one(name, attributes, inner);
    for (const variant of kind === "enum" ? parts(inner.slice(1, -1)) : []) {
      const { attributes, rest } = attributed(variant);
      const [label] = rest.match(/^\w+/);
      one(`${name}::${label}`, attributes, rest.slice(label.length).trim() || "()");
    }
  }
  // Those that say themselves what they are.
  for (const [head, name] of code.matchAll(/^ *impl (?:std::|core::)?(?:error::)?Error for (\w+) \{/gm)) {
    const at = code.indexOf(head);
    const says = code.slice(at, closing(code, at + head.length - 1)).includes("fn source(");
    const [, visibility, body] = code.match(new RegExp(`^(pub(?:\\([^)]*\\))? )?struct ${name}\\b\\s*(\\([^;]*\\);|\\{[^]*?^\\})?`, "m")) ?? [];
    const fields = body ? fieldsOf(body.replace(/;$/, "")).map((field) => ({ ...field, isSource: says })) : [];
    found.push({ name, isPublic: visibility === "pub ", words: undefined, fields });
  }
  return found;
};

/** What is wrong with an error; nothing when it has its source. */
const faultOf = ({ name, isPublic, words, fields }, isError) => {
  for (const field of fields.filter(({ type }) => isError(type))) {
    if (words === "transparent") continue;
    const tells = new RegExp(`\\{${field.name}[}:]|(?<![\\w.])\\.${field.name}\\b`).test(words ?? "");
    if (field.isSource && tells) return `${name}: what \`${field.name}\` says is its source, and would be told twice`;
    if (!field.isSource && (isPublic || !tells)) return `${name}: \`${field.name}\` is an error, and not its source`;
  }
  return undefined;
};
/** Whether a type is an error, by its last name. Of a list of them there is no one source. */
const errorTypes = (names) => (type) =>
  !/\bVec</.test(type) && [...type.matchAll(/\b(dyn )?(?:\w+::)*(\w+)/g)].some(([, isDyn, name]) => /Error$/.test(name) || (!isDyn && names.has(name)));

/** Public functions that fail with what is no error: `?` does not take it everywhere, and it has no source. */
const unfit = (program) =>
  [...bare(program).matchAll(/^ *pub (?:const |async )*fn (\w+)[^{;]*?-> [^{;]*?Result<[^{;]*?, (?:String|&'static str|\(\))>/gm)].map(
    ([, name]) => `${name}: what it fails with is not an error`,
  );

const judge = (program, names = ["Fault"]) =>
  errorsOf(program).map((error) => faultOf(error, errorTypes(new Set(names)))).find(Boolean);
const derived = (rest) => `/// Why (not.\n#[derive(Debug, thiserror::Error)]\n#[non_exhaustive]\n${rest}\n`;
for (const [program, expected] of [
  [derived('pub enum E {\n /// A.\n #[error("a {0}")]\n A(io::Error),\n}'), "E::A: `0` is an error, and not its source"],
  [derived('pub enum E {\n #[error("(a")]\n A(#[source] io::Error),\n #[error(transparent)]\n B(#[from] Fault),\n #[error("c")]\n C,\n}'), undefined],
  [derived('pub enum E {\n #[error("a {}", b(.why, 1))]\n A { path: PathBuf, #[source] why: Arc<dyn Error + Send> },\n}'), "E::A: what `why` says is its source, and would be told twice"],
  [derived('pub(crate) enum E {\n #[error("a: {0}")]\n A(Fault),\n}'), undefined],
  [derived('pub(crate) enum E {\n #[error("a")]\n A(Fault),\n}'), "E::A: `0` is an error, and not its source"],
  [derived('#[error("{}", a(.0))]\npub struct E(pub Vec<Fault>);'), undefined],
  [derived('#[error("a")]\npub struct E {\n pub source: Box<dyn Error>,\n}'), undefined],
  ["pub struct E(Fault);\n\nimpl Error for E {}\n", "E: `0` is an error, and not its source"],
  ["pub struct E {\n from: Option<Arc<dyn Error>>,\n}\nimpl std::error::Error for E {\n fn source(&self) {}\n}\n", undefined],
]) {
  if (judge(program) !== expected) throw new Error(`the check itself is wrong about ${program}: ${judge(program)}`);
}
if (unfit("pub fn a() -> Result<Self, String> {}\n    pub fn b(\n    ) -> Option<Result<u8, &'static str>> {}\nfn c() -> Result<(), String> {}").length !== 2) {
  throw new Error("the check itself is wrong about what functions fail with");
}

const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "crates/*/src/*.rs"], { encoding: "utf8" });
const programs = files.split("\0").filter((file) => file && existsSync(file)).map((file) => ({ file, program: readFileSync(file, "utf8") }));
const errors = programs.flatMap(({ file, program }) => errorsOf(program).map((error) => ({ ...error, file })));
const isError = errorTypes(new Set(errors.map(({ name }) => name.split("::")[0])));
const faults = [
  ...errors.map((error) => ({ file: error.file, fault: faultOf(error, isError) })).filter(({ fault }) => fault),
  ...programs.flatMap(({ file, program }) => unfit(program).map((fault) => ({ file, fault }))),
];
if (faults.length > 0) {
  console.error(faults.map(({ file, fault }) => `${file}: ${fault}`).join("\n"));
  process.exit(1);
}
const wrapping = errors.filter(({ fields }) => fields.some(({ type }) => isError(type)));
console.log(`errors: of ${errors.length} that the crates can meet, ${wrapping.length} hold another one, and each is told once`);
