/** `behalf ca init`: makes the certificate authority's keys, or takes over an operator's. */
import { readFileSync } from 'node:fs';
import { initCa } from '../../../ca/init.ts';
import { BehalfError } from '../../../errors/index.ts';
import { parseTrustDomain } from '../../../identity/index.ts';
import { defineCommand } from '../../command.ts';
import { respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'ca init --data-dir DIR --trust-domain NAME --passphrase-file FILE',
  summary:
    'Make a certificate authority: root, issuing intermediate, keys encrypted at rest, and the bundle that all others start from.',
  details:
    'With --pkcs12 the mesh’s intermediate is issued under your own certificate authority instead of a root of its own.',
  flags: {
    'data-dir': { type: 'string', value: 'DIR', description: 'Directory of the certificate authority alone.' },
    'trust-domain': {
      type: 'string',
      value: 'NAME',
      description: 'Such as shop.example; it stands in every SPIFFE ID.',
    },
    'passphrase-file': {
      type: 'string',
      value: 'FILE',
      description: 'File with the passphrase that encrypts the keys at rest.',
    },
    pkcs12: { type: 'string', value: 'FILE', description: 'Certificate and key of your own CA.' },
    'pkcs12-passphrase-file': {
      type: 'string',
      value: 'FILE',
      description: 'File with the passphrase of the PKCS#12 file.',
    },
  },
  positionals: [0, 0],
  async run(values) {
    const dataDir = required(values['data-dir'], 'data-dir');
    const trustDomain = parseTrustDomain(required(values['trust-domain'], 'trust-domain'));
    const passphrase = readSecret(required(values['passphrase-file'], 'passphrase-file'));
    const passphraseOf12 = values['pkcs12-passphrase-file'];
    const made = await initCa({
      dataDir,
      trustDomain,
      passphrase,
      ...(values.pkcs12 === undefined
        ? {}
        : {
            pkcs12: {
              data: read(values.pkcs12),
              passphrase: passphraseOf12 === undefined ? '' : readSecret(passphraseOf12),
            },
          }),
    });
    return respond(values.json, { dataDir, ...made }, () => [
      `the certificate authority of ${trustDomain} is in ${dataDir}; give ${made.bundleFile} to every part`,
    ]);
  },
});

function required(value: string | undefined, name: string): string {
  if (value === undefined) throw new BehalfError('usage', { command: 'ca init', why: `--${name} is missing` });
  return value;
}

/** The first line of a file, which is how secrets come in files. */
function readSecret(file: string): string {
  return read(file).toString('utf8').split(/\r?\n/, 1)[0]!;
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new BehalfError(
      'key_unusable',
      { file, why: (cause as NodeJS.ErrnoException).code ?? 'cannot be read' },
      { cause },
    );
  }
}
