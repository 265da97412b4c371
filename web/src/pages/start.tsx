import { useEffect } from "preact/hooks";
import { go } from "../lib/router";
import { lastWebsite, useWebsites } from "../lib/websites";
import { PageState } from "../shell/page";

/** `/`: the website that was seen last, else all of them. */
export default function Start() {
  const { data, error, reload } = useWebsites();
  useEffect(() => {
    if (!data) return;
    const last = lastWebsite();
    const known = data.websites.find(({ id }) => id === last) ?? (data.websites.length === 1 ? data.websites[0] : undefined);
    go(known ? `/websites/${known.id}` : "/websites", { replace: true });
  }, [data]);
  return <PageState title="Websites" error={error} onRetry={reload} />;
}
