import { render } from "preact";
import { place, startRouter } from "./lib/router";
import { startKeys } from "./lib/keys";
import { loadSession } from "./lib/session";
import { findRoute, loadPage } from "./routes";
import { App } from "./shell/app";

startRouter();
startKeys();
// The page is loaded, and asks, while the server says who is signed in.
const found = findRoute(place.get().path);
if (found && "route" in found) {
  const { route, params } = found;
  loadPage(route).then(({ ahead }) => ahead?.(params), () => {});
}
void loadSession();

const root = document.getElementById("app");
if (root) render(<App />, root);
