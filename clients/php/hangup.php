<?php
// Disconnects one participant, with Guzzle (composer require guzzlehttp/guzzle).
//
//     php hangup.php CONVERSATION_ID PARTICIPANT_ID [REASON]
//
// HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
// the participant is seen gone. Exit: 0 gone or going, 1 nobody was disconnected, 2 still there when last seen.
declare(strict_types=1);

use GuzzleHttp\Client;
use GuzzleHttp\Exception\TransferException;

require getenv('AUTOLOAD') ?: 'vendor/autoload.php';

/** @return array<string, mixed> the JSON members */
function disconnect(Client $client, string $conversation, string $participant, string $reason, int $wait): array
{
    $path = sprintf('conversations/%s/participants/%s/disconnect', rawurlencode($conversation), rawurlencode($participant));
    for ($try = 1; ; $try++) {
        $response = $client->post($path, ['json' => ['reason' => $reason], 'headers' => ['Prefer' => "wait=$wait"]]);
        $answer = json_decode((string) $response->getBody(), true);
        if (!isset($answer['ok'])) {
            throw new UnexpectedValueException("HTTP {$response->getStatusCode()} of something other than hangup: check the address");
        }
        // Busy: retry once, if the answer says when and that is soon.
        $pause = $answer['retryAfterSeconds'] ?? 99;
        if ($try > 1 || !($answer['retryable'] ?? false) || $pause > 30) {
            return $answer;
        }
        sleep($pause);
    }
}

$url = (string) getenv('HANGUP_URL');
$key = (string) getenv('HANGUP_KEY');
if ($argc < 3 || $url === '' || $key === '') {
    fwrite(STDERR, "usage: hangup.php CONVERSATION_ID PARTICIPANT_ID [REASON], with HANGUP_URL and HANGUP_KEY set\n");
    exit(1);
}
$client = new Client([
    'base_uri' => rtrim($url, '/') . '/',
    'headers' => ['X-API-Key' => $key],
    'http_errors' => false, // every answer is JSON, and says how it went
    'timeout' => 90,
]);
$wait = getenv('HANGUP_WAIT');
try {
    $answer = disconnect($client, $argv[1], $argv[2], $argv[3] ?? 'user_request', $wait === false ? 5 : (int) $wait);
} catch (TransferException | UnexpectedValueException $error) {
    fwrite(STDERR, "no answer: {$error->getMessage()}\n");
    exit(1);
}
echo json_encode($answer), "\n";
// `gone`, then `outcome` or `code`, say how it went; the HTTP status says less.
$observed = ($answer['outcome'] ?? null) === 'would_disconnect';
if ($answer['ok'] && !$observed && $answer['gone'] !== false) {
    exit(0); // disconnected, accepted, already_disconnected, conversation_ended
}
fwrite(STDERR, match (true) {
    $observed => 'observe mode: nobody was disconnected',
    $answer['ok'] => 'accepted, but still there when last seen',
    $answer['effect'] === 'unknown' => 'the participant may be gone anyway: look before you retry',
    in_array($answer['code'], ['participant_not_found', 'conversation_not_found'], true)
        => "no such participant or conversation: take current ids from Genesys Cloud",
    $answer['code'] === 'upstream_conflict' => 'Genesys Cloud refuses, and the participant is still there',
    default => $answer['detail'],
} . "\n");
exit($answer['ok'] && !$observed ? 2 : 1);
