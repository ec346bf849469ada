// Whether nginx itself lets a request to event @EVENT@ go on, by the pass that it carries.
//
// May be narrower than the gateway's own edge, never wider: whatever is not a plain good pass, in the one
// form in which the gateway writes it, is asked about; so is everything when something goes wrong here.
// Written for njs 0.7.9 and later.

import fs from 'fs';

const EVENT = '@EVENT@';
const HOSTS = [@HOSTS@];
const ISSUER = '@ISSUER@';
const FOLDER = '@FOLDER@';

// Seconds that the clock of whoever issued a pass may be ahead. Its end has no leeway.
const LEEWAY_S = 60;
const LONGEST_TARGET = 8192;

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];
const PATH = /^\/[A-Za-z0-9._~!$&'()*+,=:@\/-]*$/;
const DOTS = /^\.+$/;
const QUERY = /^[\x21\x22\x24-\x7e]*$/;
const HOST = /^([A-Za-z0-9.\[\]:-]+?)(?::[0-9]{1,5})?$/;
const BEARER = /^[ \t]*bearer/i;
// A token is three segments in the one spelling that they have; 64 bytes end with A, Q, g or w.
const TOKEN = /^@TOKEN@$/;
const SEGMENT = /^[A-Za-z0-9_-]+$/;
const SHOWN = /^[0-9]+\|(@TOKEN@)\|([A-Za-z0-9_-]*)$/;
const PASS_NAMED = /pass-@EVENT@[ \t]*=/g;
const PLACE_NAMED = /queue-@EVENT@[ \t]*=/g;
const ANY_NAMED = /(?:pass|queue)-@EVENT@[ \t]*=/;
const CLAIMS_HEAD = '{"iss":"' + ISSUER + '","aud":"' + EVENT + '",';
const CLAIMS = /^"sub":"([A-Za-z0-9_-]{1,64})","pos":([1-9][0-9]{0,14}),"gen":([1-9][0-9]{0,14}),"iat":([1-9][0-9]{0,11}),"exp":([1-9][0-9]{0,11})\}$/;
const NUMBER = /^-?[0-9]{1,15}$/;
const NUMBERS = ['generation', 'clock-ahead', 'good-for', 'good-until'];

// The whole text, where `$` would let a line's end follow.
function whole(pattern, text) {
    const match = pattern.exec(text);
    return match !== null && match[0].length === text.length ? match : null;
}

function fields(headers, name) {
    return headers.filter((field) => field[0].toLowerCase() === name).map((field) => field[1]);
}

function times(pattern, text) {
    return (text.match(pattern) || []).length;
}

function trimmed(text) {
    return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

// What cookies of exactly this name hold, as the gateway splits the field.
function cookies(field, name) {
    const start = name + '=';
    return field.split(';')
        .filter((part) => part.indexOf(start) >= 0)
        .map((part) => trimmed(part))
        .filter((part) => part.startsWith(start))
        .map((part) => part.slice(start.length));
}

// Whether a target is as the gateway's own edge takes it, with nothing encoded in its path.
function one_reading(target) {
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    return target.length <= LONGEST_TARGET
        && whole(PATH, path) !== null
        && path.indexOf('//') < 0
        && !path.split('/').some((segment) => whole(DOTS, segment) !== null)
        && (mark < 0 || whole(QUERY, target.slice(mark + 1)) !== null);
}

// A request is looked at only where it has one reading: one Host that is the event's, such a target, a plain
// method, and no bearer token.
function readable(request) {
    const hosts = fields(request.headers, 'host');
    const authorized = fields(request.headers, 'authorization');
    const named = hosts.length === 1 ? whole(HOST, hosts[0]) : null;
    return named !== null
        && HOSTS.indexOf(named[1].toLowerCase()) >= 0
        && METHODS.indexOf(request.method) >= 0
        && one_reading(request.target)
        // An address in the request line would go before the Host.
        && request.line === request.method + ' ' + request.target + ' ' + request.protocol
        && authorized.length <= 1
        && !authorized.some((value) => BEARER.test(value));
}

// The pass that a request carries, and the queue token beside it: the one cookie of its name in the one
// Cookie field, beside at most one queue token; or the one field Queue-Token alone. Null for all else.
function carried(headers, secure) {
    const prefix = secure ? '__Host-' : '';
    const held = fields(headers, 'cookie');
    const alone = fields(headers, 'queue-token');
    if (alone.length === 1 && whole(TOKEN, alone[0]) !== null) {
        return held.some((field) => ANY_NAMED.test(field)) ? null : { pass: alone[0], place: null };
    }
    if (alone.length > 0 || held.length !== 1) {
        return null;
    }
    const passes = cookies(held[0], prefix + 'pass-' + EVENT);
    const places = cookies(held[0], prefix + 'queue-' + EVENT);
    if (times(PASS_NAMED, held[0]) !== 1 || times(PLACE_NAMED, held[0]) > 1) {
        return null;
    }
    if (passes.length !== 1 || whole(TOKEN, passes[0]) === null) {
        return null;
    }
    return { pass: passes[0], place: places.length === 1 ? places[0] : null };
}

// What the payload says where it is, byte for byte, of the form that our signer writes; null otherwise.
function claims(payload) {
    if (!payload.startsWith(CLAIMS_HEAD)) {
        return null;
    }
    const said = whole(CLAIMS, payload.slice(CLAIMS_HEAD.length));
    return said === null ? null : {
        visitor: said[1],
        position: said[2],
        generation: said[3],
        issued: Number(said[4]),
        ends: Number(said[5]),
    };
}

// What the sync said, in exactly its form; null for anything else.
function told(text) {
    const lines = text.split('\n');
    const known = { passes: {}, places: {} };
    if (lines.length <= NUMBERS.length || lines.pop() !== '') {
        return null;
    }
    for (let at = 0; at < lines.length; at++) {
        const words = lines[at].split(' ');
        if (at < NUMBERS.length) {
            if (words.length !== 2 || words[0] !== NUMBERS[at] || whole(NUMBER, words[1]) === null) {
                return null;
            }
            known[words[0]] = Number(words[1]);
        } else if (words[0] === 'pass' && words.length === 3) {
            known.passes['.' + words[1]] = words[2];
        } else if (words[0] === 'place' && words.length === 2) {
            known.places['.' + words[1]] = true;
        } else {
            return null;
        }
    }
    return known;
}

// Whether what the sync said holds now. Beyond it, and where this machine's clock jumped, all is asked.
function holds(known, here) {
    return known['good-until'] > here && here + known['good-for'] >= known['good-until'];
}

// Whether a pass that says this counts at this second of the ledger's clock.
function counts(said, generation, now) {
    return Number(said.generation) === generation
        && said.ends > now
        && said.issued <= now + LEEWAY_S
        && said.ends > said.issued;
}

// Whether a session was ended. What cannot be looked at throws.
function ended(said) {
    const file = FOLDER + '/ended/' + said.generation + '-' + said.position;
    if (fs.statSync(file, { throwIfNoEntry: false }) !== undefined) {
        return true;
    }
    // Nobody was ended, or nobody could say so.
    fs.statSync(FOLDER + '/ended/.');
    return false;
}

async function signed(token, key) {
    const end = token.lastIndexOf('.');
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
    const spki = Buffer.from(key, 'base64');
    const by = await crypto.subtle.importKey('spki', spki, algorithm, false, ['verify']);
    return await crypto.subtle.verify(
        { name: 'ECDSA', hash: 'SHA-256' },
        by,
        Buffer.from(token.slice(end + 1), 'base64url'),
        Buffer.from(token.slice(0, end))
    );
}

// All that a verdict depends on, besides what the sync said: the second, the pass that a request carries,
// and the first segment of the queue token beside it. Empty for a request that is not looked at.
function looked_at(request, second) {
    const tokens = readable(request) ? carried(request.headers, request.secure) : null;
    const beside = tokens === null || tokens.place === null ? '' : tokens.place.split('.')[0];
    if (tokens === null || (tokens.place !== null && whole(SEGMENT, beside) === null)) {
        return '';
    }
    return [second, tokens.pass, beside].join('|');
}

// What a pass says where it admits; null otherwise.
async function admitted(pass, beside) {
    // Before who was ended is looked up: that is written first.
    const known = told(fs.readFileSync(FOLDER + '/known', 'utf8'));
    const here = Math.floor(Date.now() / 1000);
    if (known === null || !holds(known, here)) {
        return null;
    }
    // Algorithm, type and key are in the first segment, as the gateway writes them and in no other way.
    const segments = pass.split('.');
    const key = known.passes['.' + segments[0]];
    const said = key === undefined ? null : claims(Buffer.from(segments[1], 'base64url').toString());
    if (said === null || !counts(said, known.generation, here + known['clock-ahead'])) {
        return null;
    }
    // The queue's cookie must hold a queue token: a second pass in it would be somebody else's.
    if (beside !== '' && known.places['.' + beside] !== true) {
        return null;
    }
    return !ended(said) && await signed(pass, key) === true ? said : null;
}

function request_of(r) {
    const own = r.variables;
    return {
        headers: r.rawHeadersIn,
        line: own.request,
        method: own.request_method,
        protocol: own.server_protocol,
        secure: own.scheme === 'https',
        target: own.request_uri,
    };
}

// Goes before what nginx keeps, at each request. The second is part of it: what was found in one second is
// found nowhere in another, whatever the clock does, so neither a pass nor what the sync said gets longer.
function shown(r) {
    try {
        return looked_at(request_of(r), Math.floor(Date.now() / 1000));
    } catch (e) {
        r.log('admission: ' + e.message);
        return '';
    }
}

// Goes behind what nginx keeps.
async function verdict(r) {
    let said = null;
    try {
        const words = whole(SHOWN, r.headersIn['Admission-Shown'] || '');
        said = words === null ? null : await admitted(words[1], words[2]);
    } catch (e) {
        r.log('admission: ' + e.message);
    }
    if (said === null) {
        r.return(418);
        return;
    }
    r.headersOut['Queue-Event'] = EVENT;
    r.headersOut['Queue-Position'] = said.position;
    r.headersOut['Queue-Visitor'] = said.visitor;
    // Longer than its second lasts; a 418 is kept nowhere.
    r.headersOut['X-Accel-Expires'] = '1';
    r.return(200);
}

// The rules are here for our tests, which hold them against the gateway's own.
export default { shown, verdict, readable, carried, looked_at, claims, told, holds, counts };
