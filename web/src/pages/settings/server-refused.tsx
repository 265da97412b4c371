// What stands in place of the pages about the server for those who do not run it.
import type { ComponentChildren } from "preact";
import type { ApiError } from "../../api/client";
import { NotFound, Page } from "../../shell/page";
import { Note } from "../../ui/basic";

export const SERVER_CRUMBS = [{ label: "Settings", href: "/settings/account" }];

/** The page that says so, when `error` does; `what` is for owners and admins: "How the server is, is". */
export function serverRefused(title: string, what: string, error: ApiError | undefined): ComponentChildren {
  if (error?.status === 404) return <NotFound />;
  if (error?.status !== 403) return undefined;
  return (
    <Page title={title} crumbs={SERVER_CRUMBS} narrow>
      <Note icon="shield">
        <b>Your role does not see this.</b> {what} for owners and admins of the workspace that runs it.
      </Note>
    </Page>
  );
}
