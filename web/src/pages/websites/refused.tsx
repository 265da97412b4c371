// Events that were refused because of where they came from, and the one click that lets them in.
import { useState } from "preact/hooks";
import { ApiError, post, type Answer } from "../../api/client";
import { refresh } from "../../api/data";
import { plural } from "../../lib/format";
import { Button, Note } from "../../ui/basic";
import { FormFailure } from "../../ui/form";
import { toast } from "../../ui/overlay";

export type RefusedHost = Answer<"/api/websites/{website_id}/install", "get">["refused"][number];

interface Props {
  readonly website: { readonly id: string };
  readonly refused: readonly RefusedHost[];
  readonly mayAllow: boolean;
}

export function RefusedHosts({ website, refused, mayAllow }: Props) {
  // Only for as long as the page is open: a host that goes on sending is named again.
  const [ignored, setIgnored] = useState<ReadonlySet<string>>(new Set());
  return (
    <div class="stack stack-8">
      {refused
        .filter(({ host }) => !ignored.has(host))
        .map((one) => (
          <RefusedNote key={one.host} id={website.id} refused={one} mayAllow={mayAllow} onIgnore={() => setIgnored(new Set([...ignored, one.host]))} />
        ))}
    </div>
  );
}

function RefusedNote({ id, refused, mayAllow, onIgnore }: { id: string; refused: RefusedHost; mayAllow: boolean; onIgnore: () => void }) {
  const [pending, setPending] = useState(false);
  const [failure, setFailure] = useState<ApiError>();
  const isLocal = refused.remedy === "allow_localhost";
  const allow = async (): Promise<void> => {
    setPending(true);
    setFailure(undefined);
    try {
      await post("/api/websites/{website_id}/install/allow", { path: { website_id: id }, body: { host: refused.host } });
      refresh(`/api/websites/${id}`);
      toast(isLocal ? "Localhost is allowed. Its next event is counted." : `${refused.host} is allowed. Its next event is counted.`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setFailure(error);
      setPending(false);
    }
  };
  return (
    <Note tone="warn">
      <div class="stack stack-4">
        <p>
          <b>
            {plural(refused.events, "event")} from <code>{refused.host}</code> {refused.events === 1 ? "was" : "were"} refused.
          </b>{" "}
          {isLocal ? "Local hosts are not counted for this website." : "That host is not one of this website’s domains."}
        </p>
        <FormFailure error={failure} />
        {mayAllow && refused.remedy !== "none" && (
          <p class="row wrap">
            <Button small pending={pending} onClick={() => void allow()}>
              {isLocal ? "Allow Localhost" : `Allow ${refused.host}`}
            </Button>
            <Button small kind="quiet" onClick={onIgnore}>
              It is not mine
            </Button>
          </p>
        )}
      </div>
    </Note>
  );
}
