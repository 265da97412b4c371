/** The rules of the fields of every form, with the words shown when one is broken. The server has the same rules and the last word. */

/** What is wrong with a value, as words for whoever typed it; `undefined` when nothing is. */
export type Rule = (value: string) => string | undefined;

/** Characters as people count them, not UTF-16 units. */
export const charactersOf = (text: string): number => [...text].length;

const bytesOf = (text: string): number => new TextEncoder().encode(text).length;

/** The first broken rule decides. */
export const all =
  (...rules: Rule[]): Rule =>
  (value) => {
    for (const rule of rules) {
      const problem = rule(value);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };

/** A value of spaces alone is missing, too. */
export const required =
  (problem: string): Rule =>
  (value) =>
    value.trim() === "" ? problem : undefined;

/** The words of S4 for a name that is too long. */
export const nameOf =
  (missing: string, max: number): Rule =>
  (value) => {
    const name = value.trim();
    if (name === "") return missing;
    return charactersOf(name) > max ? `Name too long (max ${max} characters)` : undefined;
  };

/** One part, an at sign, a domain; the rest only a mail shows. */
export const email: Rule = (value) => {
  const address = value.trim();
  if (address === "") return "Write your e-mail address.";
  const at = address.lastIndexOf("@");
  const isAddress = at > 0 && at < address.length - 1 && !/[\s,;<>]/.test(address) && bytesOf(address) <= 254;
  return isAddress ? undefined : "Write an e-mail address, such as owner@example.com.";
};

export const PASSWORD_MIN_CHARACTERS = 12;
const PASSWORD_MAX_BYTES = 1024;
export const COMMON_PASSWORD = "This one is among the first that attackers try. Use another.";

/** At most three characters over and over: `aaaaaaaaaaaa`, `abcabcabcabc`. */
const repeatsAShortPattern = (text: string): boolean => {
  const characters = [...text.toLowerCase()];
  return [1, 2, 3].some((length) => characters.every((one, place) => place < length || one === characters[place - length]));
};

/** A new password. There are no rules about which characters it contains. */
export const newPassword: Rule = (value) => {
  const length = charactersOf(value);
  if (length === 0) return "Choose a password.";
  if (length < PASSWORD_MIN_CHARACTERS) return `Use at least 12 characters, ${PASSWORD_MIN_CHARACTERS - length} more.`;
  if (bytesOf(value) > PASSWORD_MAX_BYTES) return "Use at most 1,024 bytes.";
  return repeatsAShortPattern(value) ? COMMON_PASSWORD : undefined;
};

/** A password that exists already: only the server can say more. */
export const presentPassword = required("Write your password.");

/** Whether the browser reads the string as the host of an address; the result is what it would send. */
const hostOf = (text: string): string | null => {
  if (text === "" || /[/?#@\\%\s]/.test(text)) return null;
  const isBareV6 = text.includes(":") && !text.startsWith("[") && text.split(":").length > 2;
  try {
    const url = new URL(`http://${isBareV6 ? `[${text}]` : text}/`);
    const host = url.hostname.replace(/\.$/, "");
    const isName = host.split(".").every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label));
    return host.length <= 253 && (isName || host.startsWith("[")) ? host : null;
  } catch {
    return null;
  }
};

export const DOMAIN_WITHOUT_SCHEME = "Write the domain without https:// – “shop.example.com”.";

/** The domain of a website. */
export const domain: Rule = (value) => {
  const text = value.trim();
  if (text === "") return "Write the domain, such as “shop.example.com”.";
  if (text.includes("/") || text.includes("?") || text.includes("#") || /^[a-z]+:$/i.test(text)) return DOMAIN_WITHOUT_SCHEME;
  return hostOf(text) === null ? "That is not a domain. Write it like “shop.example.com”." : undefined;
};

/** The domain as the server keeps it: lower case, punycode, without a port. The string itself when it is not a domain. */
export const normalDomain = (value: string): string => hostOf(value.trim()) ?? value.trim();

/** One allowed host: exact, or `*.example.com`. */
export const hostRule: Rule = (value) => {
  const text = value.trim().replace(/^\*\./, "");
  if (/^[a-z]+:\/\//i.test(text) || text.includes("/")) return `“${value.trim()}”: write the host without https:// and without a path.`;
  return hostOf(text) === null ? `“${value.trim()}” is not a host such as shop.example.com or *.example.com.` : undefined;
};

/** One address or range of addresses. */
export const network: Rule = (value) => {
  const text = value.trim();
  const [address = "", length, ...rest] = text.split("/");
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address);
  const isV4 = v4 !== null && v4.slice(1).every((part) => Number(part) <= 255);
  const isV6 = address.includes(":") && !address.startsWith("[") && hostOf(address) !== null;
  const max = isV4 ? 32 : 128;
  const isLength = length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= max);
  const isNetwork = (isV4 || isV6) && isLength && rest.length === 0;
  return isNetwork ? undefined : `“${text}” is neither an IP address nor a range such as 10.0.0.0/8.`;
};

/** One pattern of paths. */
export const pathPattern: Rule = (value) => {
  const text = value.trim();
  if (!/^[/*]/.test(text)) return `“${text}”: a path begins with / or *.`;
  return bytesOf(text) > 500 ? `“${text.slice(0, 24)}…” is longer than 500 bytes.` : undefined;
};

/** One name of a bot. */
export const botName: Rule = (value) => {
  const length = charactersOf(value.trim());
  return length >= 3 && length <= 100 ? undefined : `“${value.trim()}”: use 3 to 100 characters.`;
};

/** The entries of a field with one entry a line; empty lines are nothing. */
export const linesOf = (value: string): string[] =>
  value
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

/** A field with one entry a line, each under the same rule. */
export const eachLine =
  (rule: Rule, max: number): Rule =>
  (value) => {
    const lines = linesOf(value);
    if (lines.length > max) return `At most ${max.toLocaleString()} lines; these are ${lines.length.toLocaleString()}.`;
    return all(...lines.map((line) => () => rule(line)))(value);
  };

/** Six digits, however they are spaced when pasted. */
export const normalCode = (value: string): string => value.replace(/\D/g, "").slice(0, 6);

export const totpCode: Rule = (value) => (/^\d{6}$/.test(value) ? undefined : "Write the six digits of your authenticator app.");

export const currency: Rule = (value) => (/^[A-Z]{3}$/.test(value.trim().toUpperCase()) ? undefined : "Write three letters, such as EUR.");

/** The name of a key (S2). */
export const keyName = nameOf("Name the key after what uses it.", 64);
export const personName = nameOf("Write your name.", 100);
export const workspaceName = nameOf("Give the workspace a name.", 100);
export const websiteName = nameOf("Give the website a name.", 100);

/** A name that may be left out. */
export const optionalName: Rule = (value) => (charactersOf(value.trim()) > 100 ? "Name too long (max 100 characters)" : undefined);
