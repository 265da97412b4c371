const PATHS = {
  analytics: "M2 13.5h12M4 10.5V7M8 10.5v-7M12 10.5V5.5",
  live: "M8 8h.01M5.2 10.8a4 4 0 0 1 0-5.6M10.8 5.2a4 4 0 0 1 0 5.6M3.2 12.8a6.8 6.8 0 0 1 0-9.6M12.8 3.2a6.8 6.8 0 0 1 0 9.6",
  person: "M8 7.75a2.6 2.6 0 1 0 0-5.25 2.6 2.6 0 0 0 0 5.25ZM2.75 13.5c.6-2.4 2.7-3.6 5.25-3.6s4.65 1.2 5.25 3.6",
  goal: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
  play: "M5 3.2v9.6L12.5 8Z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  warning: "M8 2.4 14.2 13H1.8ZM8 6.3v3.2M8 11.2v.01",
  settings:
    "M2.5 5h5.2M11.3 5h2.2M2.5 11h2.2M8.3 11h5.2M9.5 6.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6ZM6.5 12.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z",
  home: "M2.8 7 8 2.8 13.2 7v6.2H2.8Z",
  search: "M7 11.6a4.6 4.6 0 1 0 0-9.2 4.6 4.6 0 0 0 0 9.2ZM10.4 10.4l3.4 3.4",
  filter: "M2.5 4h11M4.6 8h6.8M6.7 12h2.6",
  funnel: "M2.5 3h11L9.7 8v5.2L6.3 11.4V8Z",
  left: "m9.8 4-4 4 4 4",
  right: "m6.2 4 4 4-4 4",
  down: "m4 6.2 4 4 4-4",
  up: "m4 9.8 4-4 4 4",
  updown: "m5 6.2 3-3 3 3M5 9.8l3 3 3-3",
  calendar: "M2.8 3.8h10.4v9.4H2.8ZM2.8 6.8h10.4M5.5 2.2v3M10.5 2.2v3",
  more: "M3.6 8h.01M8 8h.01M12.4 8h.01",
  close: "m4 4 8 8M12 4l-8 8",
  table: "M2.5 3h11v10h-11ZM2.5 6.3h11M2.5 9.6h11M6.3 6.3V13",
  exclude: "M8 13.8A5.8 5.8 0 1 0 8 2.2a5.8 5.8 0 0 0 0 11.6ZM4 4l8 8",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  clock: "M8 13.8A5.8 5.8 0 1 0 8 2.2a5.8 5.8 0 0 0 0 11.6ZM8 5v3.2l2 1.3",
  copy: "M5.8 5.8h7.4v7.4H5.8zM3 10.2V3h7.2",
  check: "m3 8.6 3.2 3.2L13 5",
  shield: "m8 2.2 5 1.8v4c0 3-2 4.9-5 5.8-3-.9-5-2.8-5-5.8V4Z",
  people:
    "M6 7.6a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6ZM1.8 13c.4-2.2 2-3.3 4.2-3.3s3.8 1.1 4.2 3.3M10.4 3.2a2.3 2.3 0 0 1 0 4.2M11.8 9.9c1.4.4 2.2 1.5 2.4 3.1",
  key: "M10.4 9.2a3.4 3.4 0 1 0-3.2-2.4L2.8 11.2v2h2.4v-1.6h1.6V10l.6-.6M11 5.4v.01",
  card: "M2.2 3.8h11.6v8.4H2.2ZM2.2 6.6h11.6M4.6 9.8h2.6",
  usage: "M2.5 13.5h11M4 13.5V9M8 13.5V6M12 13.5V3",
  plus: "M8 3v10M3 8h10",
  info: "M8 13.8A5.8 5.8 0 1 0 8 2.2a5.8 5.8 0 0 0 0 11.6ZM8 7.4v3.4M8 5.2v.01",
  link: "M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2-2a2.6 2.6 0 1 0-3.7-3.7l-.9.9M9.2 6.8a2.6 2.6 0 0 0-3.7 0l-2 2a2.6 2.6 0 1 0 3.7 3.7l.9-.9",
  edit: "M3 13l.6-2.8 7-7 2.2 2.2-7 7Z",
  download: "M8 2.5v7.6M5 7.2l3 3 3-3M3 13.2h10",
  eye: "M1.8 8S4 3.8 8 3.8 14.2 8 14.2 8 12 12.2 8 12.2 1.8 8 1.8 8ZM8 9.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z",
  flag: "M3.5 14V2.6c3-1.4 5.6 1.4 9 0v6.6c-3.4 1.4-6-1.4-9 0",
  page: "M4 2.2h5L12 5.2v8.6H4ZM9 2.2v3h3",
  event: "M3.4 2.8 12.6 7 8.6 8.4 7 12.6Z",
  external: "M9.5 3H13v3.5M13 3 7.5 8.5M11 9.5V13H3V5h3.5",
  theme:
    "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1.8v1.4M8 12.8v1.4M1.8 8h1.4M12.8 8h1.4M3.6 3.6l1 1M11.4 11.4l1 1M3.6 12.4l1-1M11.4 4.6l1-1",
  trash: "M3 4.5h10M6.5 4.2V2.6h3v1.6M4.4 4.5l.6 9h6l.6-9",
  mail: "M2.2 3.8h11.6v8.4H2.2ZM2.6 4.4 8 8.8l5.4-4.4",
  leave: "M9.5 3H3v10h6.5M6.5 8H14M11.5 5.5 14 8l-2.5 2.5",
  reload: "M13 8a5 5 0 1 1-1.6-3.7M13 2.6v2.6h-2.6",
  gauge: "M2.6 12.2a5.9 5.9 0 1 1 10.8 0M8 9.2l2.4-3",
  pointer: "m6.2 6.2 2 7 1.5-3.2 3.3-1.6ZM6 2.3v1.4M2.3 6h1.4M3.4 3.4l1 1M8.6 3.4l-1 1M3.4 8.6l1-1",
  previous: "M12 3.5v9L5.5 8ZM3.5 3.5v9",
  next: "M4 3.5v9L10.5 8ZM12.5 3.5v9",
  expand: "M9.5 3H13v3.5M6.5 13H3V9.5M13 3 9.3 6.7M3 13l3.7-3.7",
} as const;

export type IconName = keyof typeof PATHS;

/** A drawing in the colour of its text. It says nothing by itself: the word beside it, or the name of its button, does. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width={name === "more" ? 2.2 : 1.45}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The sign of the product. */
export function Mark({ size = 20 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 20 20" aria-hidden="true">
      <path fill="currentColor" d="M4 0h12a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H4a4 4 0 0 1-4-4V4a4 4 0 0 1 4-4Z" />
      <path d="M4.6 6h10.2L5.2 14h10.2" fill="none" stroke="var(--bg)" stroke-width="2.1" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
