/** The tag for the common frameworks. */

export interface SnippetFor {
  /** Where the script is: the address of this server, without a slash at the end. */
  readonly origin: string;
  readonly code: string;
  readonly domain: string;
}

export interface Snippet {
  readonly id: string;
  readonly label: string;
  readonly text: string;
  /** Where it goes, as segments: a string, or code. */
  readonly where: readonly (string | { readonly code: string })[];
}

/** Without the attribute a website with cookies waits for consent, which is the safe way. */
const html = ({ origin, code }: SnippetFor): string => `<script defer data-tracking-code="${code}"\n        src="${origin}/z.js"></script>`;

/** In the address of a script element made by code, the tag is found by its attribute. */
const loader = ({ origin, code }: SnippetFor): string =>
  [
    `const tag = document.createElement("script");`,
    `tag.defer = true;`,
    `tag.src = "${origin}/z.js";`,
    `tag.dataset.trackingCode = "${code}";`,
    `document.head.append(tag);`,
  ].join("\n");

const next = ({ origin, code }: SnippetFor): string =>
  [
    `// app/layout.tsx`,
    `import Script from "next/script";`,
    ``,
    `export default function RootLayout({ children }) {`,
    `  return (`,
    `    <html lang="en">`,
    `      <body>`,
    `        {children}`,
    `        <Script src="${origin}/z.js" data-tracking-code="${code}" />`,
    `      </body>`,
    `    </html>`,
    `  );`,
    `}`,
  ].join("\n");

const vue = ({ origin, code }: SnippetFor): string =>
  [
    `// nuxt.config.ts; without Nuxt, the HTML tag goes into index.html`,
    `export default defineNuxtConfig({`,
    `  app: {`,
    `    head: {`,
    `      script: [{ src: "${origin}/z.js", defer: true, "data-tracking-code": "${code}" }],`,
    `    },`,
    `  },`,
    `});`,
  ].join("\n");

const astro = ({ origin, code }: SnippetFor): string =>
  `---\n// src/layouts/Layout.astro\n---\n<head>\n  <script is:inline defer data-tracking-code="${code}"\n          src="${origin}/z.js"></script>\n</head>`;

const wordpress = ({ origin, code }: SnippetFor): string =>
  [
    `// functions.php of the child theme`,
    `add_action( 'wp_head', function () {`,
    `  echo '<script defer data-tracking-code="${code}" src="${origin}/z.js"></script>';`,
    `} );`,
  ].join("\n");

const tagManager = (website: SnippetFor): string => `<script>\n${loader(website).replace(/^/gm, "  ").replace(/const /, "var ")}\n</script>`;

const server = ({ origin, code, domain }: SnippetFor): string =>
  [
    `curl -X POST ${origin}/e/${code} \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '{"event_type": "pageview", "url": "https://${domain}/home",`,
    `       "session_id": "srv-session-abcdef", "user_agent": "MyServer/1.0",`,
    `       "device_type": "desktop", "browser": "Server", "os": "Linux"}'`,
  ].join("\n");

const head = { code: "<head>" };

export const snippetsOf = (website: SnippetFor): Snippet[] => [
  { id: "html", label: "HTML", text: html(website), where: ["Inside ", head, "."] },
  { id: "next", label: "Next.js", text: next(website), where: ["In the layout of the app. With the pages router: in ", { code: "_app.tsx" }, "."] },
  { id: "react", label: "React", text: html(website), where: ["Inside ", head, " of ", { code: "index.html" }, ", beside the script of the app."] },
  { id: "vue", label: "Vue", text: vue(website), where: ["In the configuration of Nuxt. A Vue app without it takes the HTML tag in ", { code: "index.html" }, "."] },
  { id: "astro", label: "Astro", text: astro(website), where: ["In the layout that every page uses; ", { code: "is:inline" }, " keeps it as it is."] },
  { id: "wordpress", label: "WordPress", text: wordpress(website), where: ["In the child theme, or as a header snippet of a code plugin."] },
  { id: "tag-manager", label: "Tag manager", text: tagManager(website), where: ["As custom HTML, on all pages."] },
  { id: "server", label: "Server", text: server(website), where: ["One pageview from any program. The host of ", { code: "url" }, " is one of this website’s domains."] },
];
