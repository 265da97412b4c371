// Settings → Audit: what people and keys changed.
import { useState } from "preact/hooks";
import { get, type Answer } from "../../api/client";
import { useData } from "../../api/data";
import { ago, dateTime } from "../../lib/format";
import type { Team } from "../../lib/team";
import { actionWords, detailWords } from "../../rules/audit";
import { Page } from "../../shell/page";
import { Badge, Button, Card, Empty } from "../../ui/basic";
import { FormFailure } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Loaded } from "../parts/loaded";
import { useSaver } from "../parts/saver";
import { WithTeam } from "./with-team";

type Entry = Answer<"/api/teams/{team_id}/audit", "get">["entries"][number];

export default function AuditPage() {
  return (
    <WithTeam title="Audit" needs={{ action: "read-audit", what: "What was changed is seen by" }}>
      {(team) => <AuditView key={team.id} team={team} />}
    </WithTeam>
  );
}

function AuditView({ team }: { team: Team }) {
  const first = useData("/api/teams/{team_id}/audit", { path: { team_id: team.id } });
  const [older, setOlder] = useState<{ entries: readonly Entry[]; next: string | null }>();
  const [pending, setPending] = useState(false);
  const saver = useSaver(async (before: string) => {
    const page = await get("/api/teams/{team_id}/audit", { path: { team_id: team.id }, query: { before } });
    setOlder({ entries: [...(older?.entries ?? []), ...page.entries], next: page.next });
  });
  const more = async (before: string): Promise<void> => {
    setPending(true);
    await saver.save(before);
    setPending(false);
  };
  return (
    <Page
      title="Audit"
      tab={team.name}
      crumbs={[
        { label: "Settings", href: "/settings/account" },
        { label: "Workspace", href: "/settings/workspace" },
      ]}
      beside={<Badge>{team.name}</Badge>}
      narrow
    >
      <Card title="What people and keys changed" flush>
        <Loaded of={first} what="The changes" lines={6}>
          {({ entries, next }) => {
            const all = [...entries, ...(older?.entries ?? [])];
            const before = older === undefined ? next : older.next;
            if (all.length === 0) return <Empty title="Nothing changed yet." />;
            return (
              <>
                <ul class="list">
                  {all.map((entry) => (
                    <AuditRow key={entry.id} entry={entry} />
                  ))}
                </ul>
                {before != null && (
                  <div class="card-foot">
                    <Button small pending={pending} onClick={() => void more(before)}>
                      Show older
                    </Button>
                    <FormFailure error={saver.failure} />
                  </div>
                )}
              </>
            );
          }}
        </Loaded>
      </Card>
    </Page>
  );
}

function AuditRow({ entry }: { entry: Entry }) {
  return (
    <li>
      <Icon name={entry.key_id === null ? "person" : "key"} />
      <div class="grow">
        <p>{actionWords(entry.action)}</p>
        <p class="hint">{[entry.actor, detailWords(entry.details)].filter(Boolean).join(" · ")}</p>
      </div>
      <time class="dim nowrap" dateTime={entry.at} title={dateTime(entry.at)}>
        {ago(entry.at)}
      </time>
    </li>
  );
}
