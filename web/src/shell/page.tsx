// The frame of a page: its title, its bar, and what is shown when there is nothing to show.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Data } from "../api/data";
import { LongQuestion, Waiting } from "../pages/parts/long-question";
import { announce, classes, Failure, LinkButton, Note, Skeleton, Empty } from "../ui/basic";
import { Icon } from "../ui/icons";

interface PageProps {
  /** Its name: of the tab, and its heading when there is no other. */
  title: string;
  heading?: ComponentChildren;
  /** Where it belongs, in the name of the tab. */
  tab?: string | undefined;
  /** The pages above it. */
  crumbs?: readonly { label: string; href: string }[];
  /** Beside its title: badges, counts. */
  beside?: ComponentChildren;
  /** At the end of its bar. */
  actions?: ComponentChildren;
  /** Below a title that is too long for the bar, and stands under it. */
  below?: ComponentChildren;
  narrow?: boolean;
  /** The bar of the analytics page, which is arranged otherwise on phones. */
  dash?: boolean;
  children: ComponentChildren;
}

/** A page within the frame of the application. */
export function Page({ title, heading, tab, crumbs, beside, actions, below, narrow, dash, children }: PageProps) {
  useTitle(tab ? `${title}, ${tab}` : title);
  return (
    <div class={classes("page", narrow && "narrow")}>
      <div class={classes("bar", dash && "dash")}>
        {crumbs && (
          <nav class="crumbs" aria-label="Breadcrumb">
            {crumbs.map(({ label, href }) => (
              <span class="row" key={href}>
                <a href={href}>{label}</a>
                <Icon name="right" size={12} />
              </span>
            ))}
          </nav>
        )}
        {below === undefined && <h1 title={title}>{heading ?? title}</h1>}
        {beside}
        <span class="grow" />
        {actions}
      </div>
      {below !== undefined && (
        <div class="longhead">
          <h1>{heading ?? title}</h1>
          {below}
        </div>
      )}
      {children}
    </div>
  );
}

/** Names the tab of the browser. */
export function useTitle(title: string): void {
  useEffect(() => {
    const before = document.title;
    document.title = `${title} · zenovay`;
    // A browser says where it is after a load, and not after a step within the application.
    if (before !== "zenovay" && before !== document.title) announce(title);
  }, [title]);
}

/** No page has this address; what is not yours looks the same. */
export function NotFound({ onSearch }: { onSearch?: () => void }) {
  useTitle("There is no page here");
  return (
    <div class="page">
      <div class="bar">
        <h1>There is no page here</h1>
      </div>
      <section class="card">
        <Empty
          title="Nothing is at this address"
          level={2}
          icon="search"
          action={
            <div class="row wrap">
              <LinkButton href="/websites" kind="primary">
                All websites
              </LinkButton>
              {onSearch && (
                <button type="button" class="btn" onClick={onSearch}>
                  Search
                </button>
              )}
            </div>
          }
        >
          The address may have a typing error, or what was here is gone or belongs to somebody else.
        </Empty>
      </section>
    </div>
  );
}

/** A page that exists, for people with another role. */
export function NoPermission({ title, role, needs, owners }: { title: string; role: string; needs: string; owners?: readonly string[] }) {
  return (
    <Page title={title} narrow>
      <Note icon="shield">
        <p>
          <b>Your role here is {role}.</b> {needs}
        </p>
        {owners && owners.length > 0 && <p class="dim">Ask an owner: {owners.join(", ")}</p>}
      </Note>
    </Page>
  );
}

/** What a page shows instead of itself while it has no data: its shape, how long that takes, or what went wrong. */
export function PageState({ of, what = "this page", ...page }: {
  of: Data<unknown>;
  /** What could not be loaded, when it could not: `this error`. */
  what?: string;
} & Pick<PageProps, "title" | "tab" | "crumbs" | "actions" | "narrow">) {
  const { error } = of;
  if (error && (error.status === 404 || error.status === 403)) return <NotFound />;
  return (
    <Page {...page}>
      <section class="card" aria-busy={!error && !of.stopped}>
        {!error && <LongQuestion data={of} what={what} doing="Loading" />}
        <div class="card-body">
          {error ? (
            <Failure error={error} what={`${what.charAt(0).toUpperCase()}${what.slice(1)} could not be loaded.`} onRetry={of.reload} />
          ) : (
            <Waiting data={of} again="Load again">
              <Skeleton lines={6} />
            </Waiting>
          )}
        </div>
      </section>
    </Page>
  );
}
