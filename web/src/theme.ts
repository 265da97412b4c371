// Runs before the first paint, so that a chosen theme does not flash in as the other one.
import { applyTheme, storedTheme } from "./lib/theme";

applyTheme(storedTheme());
