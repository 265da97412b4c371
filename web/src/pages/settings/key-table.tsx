// Keys as rows: name, scope, prefix, what they reach, when they were used.
import { ago, list } from "../../lib/format";
import { Badge } from "../../ui/basic";
import { followRow } from "../../ui/data";

export interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly last_used_at?: string | null;
}

interface Props<K extends KeyRow> {
  readonly label: string;
  readonly keys: readonly K[];
  readonly badgeOf: (key: K) => string;
  /** The name of the column that says what a key reaches, and what stands in it. */
  readonly reach: string;
  readonly reachOf: (key: K) => string;
}

export const usedWords = (at: string | null | undefined): string => (at == null ? "never used" : `used ${ago(at)}`);

/** The domains that a key is restricted to, as far as the reader may know them. */
export const websitesLabel = (ids: readonly string[] | null | undefined, websites: readonly { readonly id: string; readonly domain: string }[] | undefined, all = "All websites"): string =>
  ids == null ? all : list(ids.map((id) => websites?.find((website) => website.id === id)?.domain ?? "…"));

/** On phones a row is two lines: name and scope, prefix and last use. */
export function KeyTable<K extends KeyRow>({ label, keys, badgeOf, reach, reachOf }: Props<K>) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={`${label}, table`}>
      <table class="table cards-sm">
        <thead class="vh">
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Scope</th>
            <th scope="col">Key</th>
            <th scope="col">{reach}</th>
            <th scope="col">Last used</th>
          </tr>
        </thead>
        <tbody onClick={followRow}>
          {keys.map((key) => (
            <tr key={key.id}>
              <td>
                <a class="cover" href={`/settings/account/security/keys/${key.id}`}>
                  {key.name}
                </a>
              </td>
              <td>
                <ScopeBadge words={badgeOf(key)} />
              </td>
              <td class="mono mid">{key.prefix}</td>
              <td class="wide-only mid">{reachOf(key)}</td>
              <td class="num mid">{usedWords(key.last_used_at)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export const ScopeBadge = ({ words }: { words: string }) => <Badge {...(words === "Full access" && { tone: "accent" as const })}>{words}</Badge>;
