// The frame of every page for which nobody needs to be signed in.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import "../../styles/gate.css";
import type { ApiError } from "../../api/client";
import { useData } from "../../api/data";
import { chooseTheme } from "../../lib/theme";
import { explain, Failure, Note } from "../../ui/basic";
import { Icon, Mark } from "../../ui/icons";
import { useTitle } from "../../shell/page";

/** What this server allows to people who are not signed in. */
export const useInstance = () => useData("/api/instance");

/** To the other of the two, from what is seen now. */
function switchTheme(): void {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" || (document.documentElement.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
  chooseTheme(isDark ? "light" : "dark");
}

/** One narrow card in the middle of the page; the address of the server and the theme below it. */
export function Gate({ title, children }: { title: string; children: ComponentChildren }) {
  useTitle(title);
  const instance = useInstance();
  const card = useRef<HTMLDivElement>(null);
  // Browsers do this for the first page alone, and not for a step that follows without a load.
  useLayoutEffect(() => card.current?.querySelector<HTMLElement>("[autofocus]")?.focus(), [title]);
  return (
    <div class="gate">
      <div class="main-col">
        <a class="brand" href="/">
          <Mark />
          <span>zenovay</span>
        </a>
        <div class="card" ref={card}>
          {instance.data === undefined && instance.error !== undefined ? (
            <div class="box">
              <h1>{title}</h1>
              <Failure error={instance.error} what="This page could not be loaded." onRetry={instance.reload} />
            </div>
          ) : (
            children
          )}
        </div>
      </div>
      <footer class="foot">
        <span>{location.host}</span>
        {instance.data?.status_page === "public" ? <a href="/status">Status</a> : null}
        <button class="btn quiet small" type="button" onClick={switchTheme}>
          <Icon name="theme" size={14} />
          Light or dark
        </button>
      </footer>
    </div>
  );
}

/** Why a form of these pages was refused. */
export const Refused = ({ error }: { error: ApiError | undefined }) =>
  error ? (
    <Note tone="bad">
      <p>{explain(error)}</p>
    </Note>
  ) : null;
