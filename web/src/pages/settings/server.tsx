// Settings → Server → Health: what is wrong with the server, and what to do about it. For whoever runs it.
import { useState } from "preact/hooks";
import type { Answer } from "../../api/client";
import { useData } from "../../api/data";
import { dateTime } from "../../lib/format";
import { checkWords, FINDING_TONES, FINDING_WORDS, grouped, pageProblem, pieces, verdict, withInstants } from "../../rules/doctor";
import { Page } from "../../shell/page";
import { Badge, Button, Card } from "../../ui/basic";
import { TextField, useForm } from "../../ui/form";
import { Loaded } from "../parts/loaded";
import { SERVER_CRUMBS, serverRefused } from "./server-refused";

type Check = Answer<"/api/doctor", "get">["checks"][number];

export default function ServerPage() {
  const [page, setPage] = useState("");
  const report = useData("/api/doctor", { query: page === "" ? {} : { page } });
  const refused = serverRefused("Server health", "How the server is, is", report.error);
  if (refused !== undefined) return <>{refused}</>;
  return (
    <Page
      title="Server health"
      crumbs={SERVER_CRUMBS}
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
