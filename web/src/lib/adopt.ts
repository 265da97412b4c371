/** Adds a style sheet to the page. The policy of the page allows no `<style>`, and a sheet made by a script needs none. */
export function adopt(text: string): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  document.adoptedStyleSheets.push(sheet);
}
