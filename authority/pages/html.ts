/** HTML as a template tag: every value is escaped unless it is itself made by this tag. */

/** Safe HTML; made by `html` only. */
export interface Html {
  readonly safe: string;
}

/** ``html`<p>${text}</p>` `` escapes `text`; arrays are joined, null and false leave nothing. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let safe = parts[0] ?? '';
  for (const [index, value] of values.entries()) safe += render(value) + (parts[index + 1] ?? '');
  return { safe };
}

export type HtmlValue = string | number | Html | null | false | readonly Html[];

function render(value: HtmlValue): string {
  if (value === null || value === false) return '';
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number') return String(value);
  return 'safe' in value ? value.safe : value.map(({ safe }) => safe).join('');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');
}
