/** PEM of certificates (RFC 7468 section 5). */
const BEGIN = '-----BEGIN CERTIFICATE-----';
const END = '-----END CERTIFICATE-----';
const LINE = 64;

/** Encodes DER certificates one after another. */
export function certificatesToPem(chainDer: readonly Buffer[]): string {
  return chainDer
    .map((der) => {
      const base64 = der.toString('base64');
      const lines: string[] = [];
      for (let at = 0; at < base64.length; at += LINE) lines.push(base64.slice(at, at + LINE));
      return `${BEGIN}\n${lines.join('\n')}\n${END}\n`;
    })
    .join('');
}

/** The DER certificates of a PEM text, in order; text between them is skipped. */
export function certificatesFromPem(pem: string): Buffer[] {
  const found: Buffer[] = [];
  let at = pem.indexOf(BEGIN);
  while (at !== -1) {
    const end = pem.indexOf(END, at);
    if (end === -1) break;
    found.push(Buffer.from(pem.slice(at + BEGIN.length, end), 'base64'));
    at = pem.indexOf(BEGIN, end);
  }
  return found;
}
