/**
 * Rich authorization requests at the OAuth endpoints (RFC 9396): which details may be asked for, and where what was granted is
 * told. The library's own feature takes a fixed list of types; ours come with the signed policy and may change while we run, so
 * that its hooks are used instead: an extra parameter, the token's customizer, and the answers of three endpoints.
 */
import type Provider from 'oidc-provider';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { AuthorizationDetail, DetailTypes } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { type GrantDetails, readAskedOfUser } from '../details/grant-details.ts';

export interface RichRequestDeps {
  readonly details: GrantDetails;
  readonly types: () => DetailTypes;
}

/** The check of the parameter `authorization_details` of authorization requests. */
export function detailsParameter(types: () => DetailTypes): (ctx: KoaContextWithOIDC, value?: string) => void {
  return (_ctx, value) => {
    if (value === undefined) return;
    try {
      readAskedOfUser(value, types());
    } catch (error) {
      if (!(error instanceof BehalfError)) throw error;
      throw invalid(String(error.detail['why'] ?? error.code));
    }
  };
}

/**
 * Refuses details at the token endpoint of grants that have them from the user (RFC 9396 section 6). Ignored, they would leave a
 * client with more than it asked for.
 */
export function refuseDetailsOfToken({ oidc }: KoaContextWithOIDC): void {
  if (oidc.body?.['authorization_details'] !== undefined)
    throw invalid('a token has all that was granted; ask for less when it is used');
}

/** Puts what was granted into the answers of `/token` and introspection (RFC 9396 sections 7 and 9.2), and the types into the metadata. */
export function tellDetails(provider: Provider, { details, types }: RichRequestDeps): void {
  provider.use(async (ctx, next) => {
    await next();
    const { oidc, body } = ctx as KoaContextWithOIDC & { body?: Record<string, unknown> };
    if (oidc === undefined || typeof body !== 'object' || body === null || ctx.status !== 200) return;
    switch (oidc.route) {
      case 'token':
        add(body, oidc.entities.AccessToken?.grantId, details);
        return;
      case 'introspection':
        if (body['active'] === true) add(body, oidc.entities.Grant?.jti, details);
        return;
      case 'discovery':
        Object.assign(body, { authorization_details_types_supported: [...types().keys()] });
        return;
      default:
    }
  });
}

function add(body: Record<string, unknown>, grantId: string | undefined, details: GrantDetails): void {
  const granted: readonly AuthorizationDetail[] = grantId === undefined ? [] : details.of(grantId);
  if (granted.length > 0) Object.assign(body, { authorization_details: granted });
}

function invalid(why: string): errors.OIDCProviderError {
  return new errors.CustomOIDCProviderError('invalid_authorization_details', why);
}
