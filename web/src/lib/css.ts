// Style sheets of recorded pages, as far as both who play them and who show one page of them read them.

/** Letters that are written by their numbers, as in `u\72l(`, or behind a backslash, are written as letters: browsers read them so. */
const spelledOut = (css: string): string =>
  css.includes("\\")
    ? css.replace(/\\\\|\\([0-9a-f]{1,6})[ \t\r\n\f]?|\\([g-z])/gi, (all, code?: string, letter?: string) => {
        const written = letter ?? (code && String.fromCodePoint(Math.min(parseInt(code, 16), 0x10ffff)));
        return written && /^[a-z]$/i.test(written) ? written : all;
      })
    : css;

/** A style sheet in which everything that could be loaded is written as `url(…)`, and nothing is imported. */
export const plainCss = (css: string): string =>
  spelledOut(css)
    .replace(/@import\b[^;{}]*(;|$)/gi, "")
    // Of its pictures some are strings alone.
    .replace(/(?<![\w-])(-webkit-)?(image-set|image|src)\(/gi, "none(");
