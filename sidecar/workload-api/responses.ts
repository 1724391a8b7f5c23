/** The answers of the SPIFFE Workload API, made from what the sidecar holds (SPIFFE Workload API, sections 5 and 6). */
import { createPrivateKey } from 'node:crypto';
import type { MeshBundle } from '../../identity/bundle/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
// Only this file of svid/: the others load an X.509 library.
import { certificatesFromPem } from '../../identity/svid/pem.ts';
import type { Sent } from '../../proto/service.ts';
import type {
  JWTBundlesResponse,
  X509BundlesResponse,
  X509SVIDResponse,
} from '../../proto/spiffe/workload/workload.ts';

/** The one identity of this sidecar's app, with its key: section 5.2.1. */
export function x509SvidResponse(identity: OwnIdentity): Sent<X509SVIDResponse> {
  const { spiffeId, certificateChainPem, privateKeyPem } = identity.current();
  return {
    svids: [
      {
        spiffeId,
        x509Svid: Buffer.concat(certificatesFromPem(certificateChainPem)),
        x509SvidKey: createPrivateKey(privateKeyPem).export({ type: 'pkcs8', format: 'der' }),
        bundle: rootsOf(identity.bundle()),
        hint: '',
      },
    ],
  };
}

/** The roots of the own trust domain: section 5.2.2. */
export function x509BundlesResponse({ trustDomain, bundle }: OwnIdentity): Sent<X509BundlesResponse> {
  return { bundles: { [`spiffe://${trustDomain}`]: rootsOf(bundle()) } };
}

/** The keys that sign JWT-SVIDs, as a JWK Set without any other key: section 6.2.2. Empty while the CA issues none. */
export function jwtBundlesResponse({ trustDomain, bundle }: OwnIdentity): Sent<JWTBundlesResponse> {
  const keys = bundle().document.keys.filter(({ use }) => use === 'jwt-svid');
  return { bundles: { [`spiffe://${trustDomain}`]: Buffer.from(JSON.stringify({ keys }), 'utf8') } };
}

function rootsOf({ x509Roots }: MeshBundle): Buffer {
  return Buffer.concat(x509Roots);
}
