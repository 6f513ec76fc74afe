<?php
// Hangs up one participant, with Guzzle (composer require guzzlehttp/guzzle).
//
//     php hangup.php CONVERSATION_ID PARTICIPANT_ID [REASON]
//
// HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
// the participant is seen gone. Exit: 0 gone or going, 1 nobody was hung up, 2 still there when last seen.
declare(strict_types=1);

use GuzzleHttp\Client;
use GuzzleHttp\Exception\TransferException;

require getenv('AUTOLOAD') ?: 'vendor/autoload.php';

/** @return array{int, array<string, mixed>} the HTTP status and the JSON members */
function hangUp(Client $client, string $conversation, string $participant, string $reason, int $wait): array
{
    $path = sprintf('conversations/%s/participants/%s/disconnect', rawurlencode($conversation), rawurlencode($participant));
    for ($try = 1; ; $try++) {
        $response = $client->post($path, ['json' => ['reason' => $reason], 'headers' => ['Prefer' => "wait=$wait"]]);
        $answer = json_decode((string) $response->getBody(), true, 512, JSON_THROW_ON_ERROR);
        $status = $response->getStatusCode();
        $pause = (int) ($response->getHeaderLine('Retry-After') ?: 99);
        // Busy, and worth repeating: once, when it says so and not for long.
        if ($try > 1 || !in_array($status, [429, 503], true) || !$answer['retryable'] || $pause > 30) {
            return [$status, $answer];
        }
        sleep($pause);
    }
}

$client = new Client([
    'base_uri' => rtrim((string) getenv('HANGUP_URL'), '/') . '/',
    'headers' => ['X-API-Key' => (string) getenv('HANGUP_KEY')],
    'http_errors' => false, // every answer is JSON, and its status is looked at
    'timeout' => 90,
]);
$wait = getenv('HANGUP_WAIT');
try {
    [$status, $answer] = hangUp($client, $argv[1], $argv[2], $argv[3] ?? 'user_request', $wait === false ? 5 : (int) $wait);
} catch (TransferException | JsonException $error) {
    fwrite(STDERR, "no answer: {$error->getMessage()}\n");
    exit(1);
}
echo json_encode($answer), "\n";
if ($status === 200 && $answer['outcome'] !== 'would_disconnect') {
    exit(0); // disconnected, accepted, already_disconnected, conversation_ended
}
fwrite(STDERR, match (true) {
    $status === 200 => 'observe mode: nobody was hung up',
    $status === 202 => 'taken over, but still there when last seen',
    $status === 404 => "no such participant or conversation: are the ids fresh, and Genesys Cloud's?",
    $status === 409 => 'Genesys Cloud refuses, and the participant is still there',
    $answer['effect'] === 'unknown' => 'the participant may be gone all the same: look before you repeat',
    default => $answer['detail'],
} . "\n");
exit($status === 202 ? 2 : 1);
