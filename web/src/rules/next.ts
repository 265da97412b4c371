/** Where somebody goes after signing in: what an address asks for, when that is a page of this application; else the beginning. */
export function nextOf(search: string): string {
  const next = new URLSearchParams(search).get("next") ?? "/";
  // A browser reads a backslash as a slash, and skips tabs and line ends: two of them make it another host.
  const isPath = /^\/(?!\/)/.test(next) && !/[\\\s\u0000-\u001f]/.test(next);
  return isPath && !/^\/(login|signup|welcome|reset)\b/.test(next) ? next : "/";
}
