/** `behalf svid show`: a certificate in words, from a PEM file or the operator's own. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BehalfError } from '../../../errors/index.ts';
import { defineCommand } from '../../command.ts';
import { instant, lifetime } from '../../draw/words.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { respond } from '../../output.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export const command = defineCommand({
  usage: 'svid show [FILE]',
  summary: 'Show an X.509-SVID in words: who it names, by whom it was issued, how long it lasts.',
  details: 'FILE is a PEM chain, leaf first. Without it the operator’s own SVID is shown.',
  flags: { dir: DIR_FLAG },
  positionals: [0, 1],
  async run(values, [file]) {
    const pem =
      file === undefined
        ? await asOperator(directoryOf(values.dir), async ({ identity }) => identity.current().certificateChainPem)
        : read(file);
    const chain = (pem.match(CERTIFICATE) ?? []).map((text) => parse(text, file ?? 'own'));
    if (chain.length === 0) throw new BehalfError('svid_invalid', { file: file ?? 'own', why: 'holds no certificate' });
    const described = chain.map(describe);
    const leaf = described[0]!;
    const nowS = Date.now() / 1000;
    const left = leaf.notAfterS - nowS;
    return respond(
      values.json,
      { ...leaf, valid: left > 0 && leaf.notBeforeS <= nowS, chain: described.slice(1) },
      () => [
        `SPIFFE ID    ${leaf.spiffeId ?? 'none: this is no X.509-SVID'}`,
        `serial       ${leaf.serial}`,
        `valid        ${instant(leaf.notBeforeS * 1e6).slice(0, 19)} to ${instant(leaf.notAfterS * 1e6).slice(0, 19)} UTC, ${left > 0 ? `${lifetime(left)} left` : 'over'}`,
        `key          ${leaf.key}`,
        `SHA-256      ${leaf.sha256} (x5t#S256)`,
        ...described
          .slice(1)
          .map(
            (issuer) =>
              `issued by    ${issuer.subject === '' ? 'an authority without a name' : issuer.subject}, serial ${issuer.serial}, until ${instant(issuer.notAfterS * 1e6).slice(0, 10)}`,
          ),
      ],
      left > 0 ? 0 : 1,
    );
  },
});

function describe(certificate: X509Certificate) {
  const names = (certificate.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'));
  return {
    spiffeId: names.length === 1 ? names[0]!.slice(4) : null,
    serial: certificate.serialNumber.toLowerCase(),
    subject: (certificate.subject ?? '').replaceAll('\n', ', '),
    notBeforeS: Math.floor(certificate.validFromDate.getTime() / 1000),
    notAfterS: Math.floor(certificate.validToDate.getTime() / 1000),
    key: `${certificate.publicKey.asymmetricKeyType} ${certificate.publicKey.asymmetricKeyDetails?.namedCurve ?? certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? ''}`.trim(),
    sha256: Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url'),
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new BehalfError('not_found', { file, why: (cause as NodeJS.ErrnoException).code ?? '' }, { cause });
  }
}

function parse(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new BehalfError('svid_invalid', { file, why: 'a certificate cannot be read' }, { cause });
  }
}
