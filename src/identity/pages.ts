// The few pages that people see: plain HTML, no script that is not named by its hash, nothing from elsewhere, never inside a frame.

import { hash } from 'node:crypto';
import type { Failure } from '../core/failure.ts';
import { type Reply, redirect } from '../core/reply.ts';

/** Text that is safe inside HTML; only `html` and `escaped` make it. */
export interface Html {
  readonly markup: string;
}

/** A template whose values are escaped, unless they are Html already. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html | readonly Html[])[]): Html {
  return { markup: parts.map((part, i) => part + rendered(values[i])).join('') };
}

function rendered(value: string | Html | readonly Html[] | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return value.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
  return 'markup' in value ? value.markup : value.map((part) => part.markup).join('');
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
label{display:block;margin:1rem 0}input{font:inherit;box-sizing:border-box;width:100%;padding:.4rem}
button{font:inherit;padding:.4rem 1.2rem;margin:.5rem .5rem 0 0}.wrong{color:#a00000}code{font-size:1.2em}`;

/** Sends what is in the page's only form: the answer of an authorization request in the mode `form_post`. */
const SUBMIT = 'document.forms[0].submit()';

interface PageOptions {
  readonly status?: number;
  /** Other origins that the page's form may lead to: browsers check redirects after a form too. */
  readonly formActions?: readonly string[];
  readonly submits?: boolean;
}

/** A page with the headers that keep it by itself. */
export function page(title: string, body: Html, { status = 200, formActions = [], submits = false }: PageOptions = {}): Reply {
  const policy = [
    "default-src 'none'",
    `style-src 'sha256-${hash('sha256', STYLE, 'base64')}'`,
    `script-src ${submits ? `'sha256-${hash('sha256', SUBMIT, 'base64')}'` : "'none'"}`,
    `form-action ${["'self'", ...formActions].join(' ')}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');
  const { markup } = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<style>${{ markup: STYLE }}</style></head>
<body><h1>${title}</h1>
${body}
${submits ? { markup: `<script>${SUBMIT}</script>` } : ''}</body></html>
`;
  return {
    reply: true,
    status,
    body: markup,
    contentType: 'text/html; charset=utf-8',
    headers: {
      'content-security-policy': policy,
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      // The addresses of these pages carry codes and state.
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    },
  };
}

/** Sends the browser on, without keeping the way there. */
export function onwards(url: string): Reply {
  const there = redirect(url);
  return { ...there, headers: { ...there.headers, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' } };
}

export function hidden(fields: Readonly<Record<string, string>>): readonly Html[] {
  return Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`);
}

/** Why the last attempt failed, if one did. */
export function complaint(wrong: Failure | undefined): Html {
  return wrong === undefined ? html`` : html`<p class="wrong" role="alert">${wrong.message}</p>`;
}

/** Name and password. */
export function credentialFields(userName: string): Html {
  return html`<label>User name <input name="username" autocomplete="username" required value="${userName}"></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>`;
}
