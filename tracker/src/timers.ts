/** In place of the global functions: the browser's, as they were when the script was loaded, and never an error for the page. */
const native = window.setTimeout;

export const setTimeout = (work: () => void, ms?: number): number => {
  try {
    return native.call(window, work, ms);
  } catch {
    return 0;
  }
};
