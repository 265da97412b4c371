// The card "Connected MCP clients": programs that act for whoever is signed in.
import { useState } from "preact/hooks";
import { remove, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { ago, dateOf, list } from "../../lib/format";
import { Button, Card, Empty } from "../../ui/basic";
import { Icon } from "../../ui/icons";
import { Confirm, toast } from "../../ui/overlay";
import { Loaded } from "../parts/loaded";

type Client = Answer<"/api/account/mcp-clients", "get">["clients"][number];

const CATEGORIES: Readonly<Record<string, string>> = {
  analytics: "Analytics",
  advanced: "Advanced",
  ai_insights: "Insights",
  management: "Management",
  settings: "Settings",
  webhooks: "Webhooks",
};

/** "Reads Analytics and Settings, changes Management." */
export function whatItDoes(scopes: readonly string[]): string {
  const of = (level: string): string[] => scopes.filter((scope) => scope.endsWith(`:${level}`)).map((scope) => scope.split(":")[0] ?? "");
  const named = (categories: readonly string[]): string => list(categories.map((category) => CATEGORIES[category] ?? category));
  const write = of("write");
  const read = of("read").filter((category) => !write.includes(category));
  const parts = [read.length > 0 ? `reads ${named(read)}` : "", write.length > 0 ? `changes ${named(write)}` : ""].filter((part) => part !== "");
  const words = parts.join(", ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const queriesToday = (queries: number): string => (queries === 0 ? "no queries today" : `${queries} ${queries === 1 ? "query" : "queries"} today`);

export function McpClients() {
  const clients = useData("/api/account/mcp-clients");
  const [ending, setEnding] = useState<Client>();
  return (
    <Card
      title="Connected MCP clients"
      flush
      foot={
        clients.data && (
          <span>
            Point a client at <code>{clients.data.url}</code>: it asks you here first, and needs no key.
          </span>
        )
      }
    >
      <Loaded of={clients} what="The MCP clients" lines={2}>
        {({ clients }) =>
          clients.length === 0 ? (
            <Empty title="No clients yet">An assistant that you connect shows here, with what it may do.</Empty>
          ) : (
            <ul class="list">
              {clients.map((one) => (
                <li key={one.id}>
                  <Icon name="link" />
                  <div class="grow">
                    <p>
                      {one.name} <span class="dim">{one.host ?? `registered itself, sends you to ${one.redirect_host}`}</span>
                    </p>
                    <p class="hint">
                      {whatItDoes(one.scopes)} · in {one.team.name}
                    </p>
                    <p class="hint">
                      Since {dateOf(one.created_at)} · {one.last_used_at == null ? "never used" : `used ${ago(one.last_used_at)}`} · {queriesToday(one.queries_today)}
                    </p>
                  </div>
                  <Button small kind="quiet" onClick={() => setEnding(one)}>
                    Revoke<span class="vh"> {one.name}</span>
                  </Button>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      {ending && (
        <Confirm
          title={`Revoke ${ending.name}?`}
          action="Revoke"
          onClose={() => setEnding(undefined)}
          onConfirm={async () => {
            await remove("/api/account/mcp-clients/{grant_id}", { path: { grant_id: ending.id } });
            refresh("/api/account/mcp-clients");
            toast(`${ending.name} can do nothing any more.`);
          }}
        >
          Its next request is refused. It can ask you again.
        </Confirm>
      )}
    </Card>
  );
}
