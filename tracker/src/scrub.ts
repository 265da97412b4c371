/** Takes out of the strings of a page what must not leave the browser: secrets, mail addresses, numbers of cards. */

const SECRETS = [
  // JSON Web Tokens.
  /\beyJ[\w-]{8,}\.[\w-]{6,}(?:\.[\w-]*)?/g,
  // Keys whose issuers mark them.
  /\b(?:[spr]k_(?:live|test)_\w{8,}|whsec_\w{8,}|gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{10,}|zv_\w{16,})/g,
];
const HEADER = /\b(bearer|basic)(\s+|%20|\+)[\w.~+/=-]{8,}/gi;
const LONG_HEX = /\b[0-9a-f]{32,}\b(?!\.\w)/gi;
const MAIL = /[\w.!$'*+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+/gi;
const CARD = /(?<![\d.])\d(?:[\s+-]?\d){12,}/g;
/** Members of query strings, forms and JSON whose names say that the value is secret. */
const NAMED =
  /((?:^|[?&;#\s,{"'])[\w.-]*(?:token|secret|passw|pwd|passphrase|api_?-?key|access_?-?key|auth(?!or)|signature|session|jwt|otp|cvc|cvv|iban|ssn)[\w.-]*["']?\s*[=:]\s*["']?)([^&#;\s"',}<>]+)/gi;
/** Parameters of an address that are secret by their short names. */
const SHORT = /([?&#](?:code|state|sig|key|sid|pin|e?-?mail|phone|tel|hash|nonce)=)[^&#\s"'<>]+/gi;

/** What one of the above could be in: most strings are nothing of the kind, and there are many. */
const SHOWN_HINT = /[\w.-]{14}|\d(?:[\s+-]?\d){12}/;
const HINT =
  /[\w.-]{14}|\d(?:[\s+-]?\d){12}|@|%40|token|secret|pass|pwd|api|access|auth|signature|session|jwt|otp|cv|iban|ssn|bearer|basic|[?&#]/i;

/** Whether digits are the number of a card, by their check digit; every second one counts as what its double has for digits. */
const isNumber = (digits: string) =>
  /^(?!(\d)\1*$)\d{13,19}$/.test(digits) && !([...digits].reverse().reduce((sum, digit, place) => sum + +((place % 2 && (+digit * 2) % 9) || digit), 0) % 10);

/** Whether some of the groups of digits are one together: what is written around it, such as its month, are groups of their own. */
const isCard = (groups: string[], digits = ""): boolean =>
  groups.length > 0 && (groups.some((group) => isNumber((digits += group))) || isCard(groups.slice(1)));

/** Without numbers of cards and marked keys: for what a page shows, where a mail address may be the page's own. */
export const scrubShown = (text: string) => {
  if (!SHOWN_HINT.test(text)) return text;
  for (const secret of SECRETS) text = text.replace(secret, "[token]");
  return text.replace(CARD, (found) => (isCard(found.split(/\D/)) ? "[card]" : found));
};

/** Without secrets, mail addresses and numbers of cards: for messages and addresses. */
export const scrub = (text: string) => (HINT.test(text) ? scrubAll(text) : text);

/** The same, at most `max` characters. Half a secret is not known for one, so much more is looked at than stays. */
export const scrubTo = (text: string, max: number) =>
  scrub(text.slice(0, 9 * max))
    .slice(0, max)
    .replace(/[\uD800-\uDBFF]$/, "");

const scrubAll = (text: string) =>
  scrubShown(text.replace(HEADER, "$1$2[token]"))
    .replace(NAMED, (whole, name, value) => (value[0] === "[" || /^bearer|basic$/i.test(value) ? whole : name + "[token]"))
    .replace(SHORT, "$1[token]")
    .replace(LONG_HEX, "[token]")
    .replace(MAIL, "[email]");

/** A line of a stack trace that says where something was: names of files, which may be long hashes, stay. */
const scrubFrame = (line: string) =>
  scrubShown(line)
    .replace(SHORT, "$1[token]")
    .replace(/([?&#][\w.-]*(?:token|secret|key|auth|session|passw|jwt|mail)[\w.-]*=)[^&#\s"'<>:)]+/gi, "$1[token]")
    .replace(/([?&#][\w.-]+=)[^&#\s"'<>:)]{16,}/g, "$1[token]");

/** A stack trace, or an address of a script. */
export const scrubStack = (text: string) =>
  text
    .split("\n")
    .map((line) => (/^\s*at |@|^[\w-]+:\/\//.test(line) && /:\d+\)?$|^[\w-]+:\/\//.test(line) ? scrubFrame(line) : scrub(line)))
    .join("\n");

/** An address without its query and fragment, and without secrets in its path. */
export const scrubAddress = (url: string) => scrub(url.replace(/[?#].*/s, ""));

/** Whether the string has so many digits in a row that they are the number of a card, or may become one while it is typed. */
export const mayBecomeCard = (text: string) => /\d(?:[\s+-]?\d){10}/.test(text);
