import { useEffect } from "preact/hooks";
import { go } from "../lib/router";
import { lastWebsite, useWebsites } from "../lib/websites";
import { PageState } from "../shell/page";

/** `/`: the website that was seen last, else all of them. */
export default function Start() {
  const websites = useWebsites();
  const { data } = websites;
  useEffect(() => {
    if (!data) return;
    const last = lastWebsite();
    const known = data.websites.find(({ id }) => id === last) ?? (data.websites.length === 1 ? data.websites[0] : undefined);
    go(known ? `/websites/${known.id}` : "/websites", { replace: true });
  }, [data]);
  return <PageState title="Websites" of={websites} what="your websites" />;
}
