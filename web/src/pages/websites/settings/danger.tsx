// Pausing, and what cannot be undone.
import { useState } from "preact/hooks";
import { post, remove } from "../../../api/client";
import { refresh, useData } from "../../../api/data";
import { go } from "../../../lib/router";
import { Button, Card } from "../../../ui/basic";
import { FormFailure } from "../../../ui/form";
import { Confirm, toast } from "../../../ui/overlay";
import { counted, reported, useReplays } from "../../parts/erased";
import { useSwitches, type PartProps } from "./save";

export function DangerSettings({ website, mayChange, mayDelete }: PartProps) {
  const switches = useSwitches(website);
  const [asking, setAsking] = useState<"code" | "delete" | null>(null);
  const close = (): void => setAsking(null);
  const isActive = website.settings.is_active;
  return (
    <Card title="Pause, renew, delete" flush>
      {switches.failure && (
        <div class="card-body">
          <FormFailure error={switches.failure} />
        </div>
      )}
      <ul class="list">
        <li>
          <div class="grow">
            <p>{isActive ? "Pause counting" : "Counting is paused"}</p>
            <p class="hint">{isActive ? "Events are dropped until you resume. The numbers so far stay." : "Events are dropped."}</p>
          </div>
          {mayChange && (
            <Button small onClick={() => switches.change("is_active", !isActive)}>
              {isActive ? "Pause" : "Resume"}
            </Button>
          )}
        </li>
        <li>
          <div class="grow">
            <p>New tracking code</p>
            <p class="hint">
              Tags with <code>{website.tracking_code}</code> stop counting at once.
            </p>
          </div>
          {mayChange && (
            <Button small onClick={() => setAsking("code")}>
              Make a new code
            </Button>
          )}
        </li>
        <li>
          <div class="grow">
            <p>Delete this website</p>
            <p class="hint">{mayDelete ? "With all its events, replays, clicks, errors, goals, funnels and public links." : "Admins and owners delete websites."}</p>
          </div>
          {mayDelete && (
            <Button small kind="danger" onClick={() => setAsking("delete")}>
              Delete
            </Button>
          )}
        </li>
      </ul>
      {asking === "code" && (
        <Confirm
          title="Make a new tracking code?"
          action="Make a new code"
          onClose={close}
          onConfirm={async () => {
            await post("/api/websites/{website_id}/tracking-code", { path: { website_id: website.id } });
            refresh("/api/websites");
            toast("New tracking code. Put the new tag on your pages.");
            go(`/websites/${website.id}/settings/tracking`);
          }}
        >
          Events with <code>{website.tracking_code}</code> are refused from this moment, until your pages have the new tag.
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm
          title={`Delete ${website.domain}?`}
          action="Delete website"
          typed={{ word: website.domain, label: "Type the domain to confirm" }}
          onClose={close}
          onConfirm={async () => {
            await remove("/api/websites/{website_id}", { path: { website_id: website.id }, body: { domain: website.domain } });
            refresh("/api/websites");
            toast(`${website.domain} deleted.`);
            go("/websites", { replace: true });
          }}
        >
          <WhatIsErased id={website.id} />
        </Confirm>
      )}
    </Card>
  );
}

/** "41,204 events, 312 replays and 3 goals are erased", with what pages reported. Until they are counted, what they are. */
function WhatIsErased({ id }: { id: string }) {
  const path = { website_id: id };
  const totals = useData("/api/websites/{website_id}/totals", { path, query: { range: "all" } }).data;
  const goals = useData("/api/websites/{website_id}/goals", { path, query: { range: "all" } }).data;
  const shares = useData("/api/websites/{website_id}/shares", { path }).data;
  const replays = useReplays(id).data?.total;
  if (!totals || !goals || !shares) return <>All its events, goals, funnels and public links are erased, with {reported(undefined)}. This cannot be undone.</>;
  const lost = counted([
    [totals.now.events, "event"],
    [replays, "replay"],
    [goals.goals.length, "goal"],
    [shares.shares.length, "public link"],
  ]);
  return (
    <>
      {lost} {lost === "1 event" ? "is" : "are"} erased, with {reported(replays)}. This cannot be undone.
    </>
  );
}
