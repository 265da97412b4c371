// Settings → Server → Health: what is wrong with the server, and what to do about it. For whoever runs it.
import { useState } from "preact/hooks";
import type { Answer } from "../../api/client";
import { useData } from "../../api/data";
import { dateTime } from "../../lib/format";
import { checkWords, FINDING_TONES, FINDING_WORDS, grouped, pageProblem, pieces, verdict, withInstants } from "../../rules/doctor";
import { NotFound, Page } from "../../shell/page";
import { Badge, Button, Card, Note } from "../../ui/basic";
import { TextField, useForm } from "../../ui/form";
import { Loaded } from "../parts/loaded";

type Check = Answer<"/api/doctor", "get">["checks"][number];

const CRUMBS = [{ label: "Settings", href: "/settings/account" }];

export default function ServerPage() {
  const [page, setPage] = useState("");
  const report = useData("/api/doctor", { query: page === "" ? {} : { page } });
  if (report.error?.status === 404) return <NotFound />;
  if (report.error?.status === 403) {
    return (
      <Page title="Server health" crumbs={CRUMBS} narrow>
        <Note icon="shield">
          <b>Your role does not see this.</b> How the server is, is for owners and admins of the workspace that runs it.
        </Note>
      </Page>
    );
  }
  return (
    <Page
      title="Server health"
      crumbs={CRUMBS}
      actions={
        <Button icon="reload" pending={report.loading} onClick={report.reload}>
          Check again
        </Button>
      }
      narrow
    >
      <Loaded of={report} what="The checks" lines={8} onPage>
        {({ checks }) => (
          <div class="stack stack-16">
            <h2 class="h1">{verdict(checks)}</h2>
            {grouped(checks).map(({ group, checks }) => (
              <Card key={group} title={group} flush>
                <ul class="list">
                  {checks.map((check) => (
                    <CheckRow key={check.check} check={check} />
                  ))}
                </ul>
                {group === "A page" && <PageForm onPage={setPage} />}
              </Card>
            ))}
          </div>
        )}
      </Loaded>
    </Page>
  );
}

function CheckRow({ check: { check, state, seen, remedy } }: { check: Check }) {
  return (
    <li>
      <div class="grow">
        <p>{checkWords(check)}</p>
        <p class="hint">{withCode(withInstants(seen, (instant) => dateTime(instant)))}</p>
        {remedy !== null && <p>{withCode(remedy)}</p>}
      </div>
      <Badge tone={FINDING_TONES[state]}>{FINDING_WORDS[state]}</Badge>
    </li>
  );
}

const withCode = (text: string) => pieces(text).map((piece, place) => (place % 2 === 1 ? <code key={place}>{piece}</code> : piece));

function PageForm({ onPage }: { onPage(page: string): void }) {
  const form = useForm({ initial: { page: "" }, rules: { page: pageProblem }, submit: async ({ page }) => onPage(page) });
  return (
    <form {...form.props} class="card-foot">
      <TextField {...form.bind("page")} label="Check the tag on a page" placeholder="https://example.com/" inputMode="url" />
      <Button type="submit">Check</Button>
    </form>
  );
}
