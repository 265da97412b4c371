/** What a person chose: the theme of the system, or always the same. */
export type Theme = "system" | "light" | "dark";

const KEY = "zenovay.theme";

/** The theme that this browser used last. */
export function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === "light" || stored === "dark" ? stored : "system";
  } catch {
    return "system"; // Storage is refused: the theme of the system is as good as any.
  }
}

/** Shows the page in `theme`. */
export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Shows the page in `theme` from now on, in this browser. */
export function chooseTheme(theme: Theme): void {
  applyTheme(theme);
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Shown all the same, until the page is loaded again.
  }
}
