// Parts of a page that have addresses of their own, as tabs.
import { useEffect, useRef } from "preact/hooks";

interface Props {
  readonly label: string;
  readonly tabs: readonly { readonly href: string; readonly label: string }[];
  /** The address of the one that is shown. */
  readonly current: string;
}

/** The shown one is in view, also where not all have room. */
export function NavTabs({ label, tabs, current }: Props) {
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    const shown = nav.current?.querySelector<HTMLElement>("[aria-current]");
    if (nav.current && shown) nav.current.scrollLeft = shown.offsetLeft - nav.current.offsetLeft - 24;
  }, [current]);
  return (
    <nav ref={nav} class="tabs" aria-label={label}>
      {tabs.map((tab) => (
        <a key={tab.href} href={tab.href} aria-current={tab.href === current ? "page" : undefined}>
          {tab.label}
        </a>
      ))}
    </nav>
  );
}
