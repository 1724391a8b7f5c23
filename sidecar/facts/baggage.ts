/**
 * The `dlg` member of `baggage` (W3C Baggage, section 3.2.1): found, and cut out without touching the app's own members.
 * A key also counts as `dlg` in other case and percent-encoded, since readers such as OpenTelemetry decode keys and would
 * send it on as plain `dlg`.
 */

/** The values of all `dlg` members, without their properties. */
export function dlgValues(baggage: string): string[] {
  const values: string[] = [];
  for (let start = 0; start <= baggage.length; ) {
    const end = memberEnd(baggage, start);
    const keyEnd = keyEndOf(baggage, start, end);
    if (isDlg(baggage, start, keyEnd)) values.push(memberValue(baggage, keyEnd, end));
    start = end + 1;
  }
  return values;
}

/** The field value without its `dlg` members; null if nothing is left. Other members stay byte for byte. */
export function stripBaggage(baggage: string): string | null {
  let kept = '';
  let cut = false;
  for (let start = 0; start <= baggage.length; ) {
    const end = memberEnd(baggage, start);
    if (isDlg(baggage, start, keyEndOf(baggage, start, end))) cut = true;
    else kept = kept === '' ? baggage.slice(start, end) : `${kept},${baggage.slice(start, end)}`;
    start = end + 1;
  }
  const left = (cut ? kept : baggage).trim();
  return left === '' ? null : left;
}

function memberEnd(baggage: string, start: number): number {
  const comma = baggage.indexOf(',', start);
  return comma < 0 ? baggage.length : comma;
}

function keyEndOf(baggage: string, start: number, end: number): number {
  let at = start;
  while (at < end && baggage[at] !== '=' && baggage[at] !== ';') at += 1;
  return at;
}

function memberValue(baggage: string, keyEnd: number, end: number): string {
  if (keyEnd === end || baggage[keyEnd] !== '=') return '';
  const properties = baggage.indexOf(';', keyEnd);
  return baggage.slice(keyEnd + 1, properties < 0 || properties > end ? end : properties).trim();
}

function isDlg(baggage: string, start: number, keyEnd: number): boolean {
  const key = baggage.slice(start, keyEnd).trim();
  // Three characters, each as itself or as three.
  return key.length >= 3 && key.length <= 9 && decodeKey(key).toLowerCase() === 'dlg';
}

function decodeKey(key: string): string {
  if (!key.includes('%')) return key;
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
