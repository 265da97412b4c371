// Settings → Audit: what people and keys changed.
import { useState } from "preact/hooks";
import { get, type Answer } from "../../api/client";
import { useData } from "../../api/data";
import { ago, dateTime } from "../../lib/format";
import type { Team } from "../../lib/team";
import { Page } from "../../shell/page";
import { Badge, Button, Card, Empty } from "../../ui/basic";
import { Icon } from "../../ui/icons";
import { Loaded } from "../parts/loaded";
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
  const [older, setOlder] = useState<readonly Entry[]>([]);
  const [end, setEnd] = useState(false);
  const [pending, setPending] = useState(false);
  const more = async (last: Entry): Promise<void> => {
    setPending(true);
    try {
      const { entries } = await get("/api/teams/{team_id}/audit", { path: { team_id: team.id }, query: { before: last.id } });
      setOlder([...older, ...entries]);
      setEnd(entries.length === 0);
    } finally {
      setPending(false);
    }
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
          {({ entries }) => {
            const all = [...entries, ...older];
            const last = all.at(-1);
            if (last === undefined) return <Empty title="Nothing changed yet." />;
            return (
              <>
                <ul class="list">
                  {all.map((entry) => (
                    <AuditRow key={entry.id} entry={entry} />
                  ))}
                </ul>
                {!end && entries.length >= PAGE && (
                  <div class="card-foot">
                    <Button small pending={pending} onClick={() => void more(last)}>
                      Show older
                    </Button>
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

/** How many the server answers at once. */
const PAGE = 50;

function AuditRow({ entry }: { entry: Entry }) {
  return (
    <li>
      <Icon name={entry.actor.kind === "key" ? "key" : "person"} />
      <div class="grow">
        <p>{entry.action}</p>
        <p class="hint">{entry.actor.name}</p>
      </div>
      <time class="dim nowrap" dateTime={entry.at} title={dateTime(entry.at)}>
        {ago(entry.at)}
      </time>
    </li>
  );
}
