<?php

namespace App\Services;

use Illuminate\Support\Facades\Http;
use UnexpectedValueException;

/** Disconnects one participant. For config/services.php: 'hangup' => ['url' => env('HANGUP_URL'), 'key' => env('HANGUP_KEY')]. */
class Hangup
{
    /**
     * Answers the JSON members: ok, outcome and gone, or code, detail and effect.
     *
     * @return array<string, mixed>
     *
     * @throws \Illuminate\Http\Client\ConnectionException when nothing answers
     * @throws UnexpectedValueException when something other than hangup answers
     */
    public function disconnect(string $conversation, string $participant, string $reason = 'user_request', int $wait = 5): array
    {
        $path = sprintf('/conversations/%s/participants/%s/disconnect', rawurlencode($conversation), rawurlencode($participant));
        for ($try = 1; ; $try++) {
            $response = Http::withHeaders(['X-API-Key' => config('services.hangup.key'), 'Prefer' => "wait=$wait"])
                ->acceptJson()->timeout(90)
                ->post(rtrim(config('services.hangup.url'), '/') . $path, ['reason' => $reason]);
            $answer = $response->json();
            if (! isset($answer['ok'])) {
                throw new UnexpectedValueException("HTTP {$response->status()} of something other than hangup: check the address");
            }
            // Busy: retry once, if the answer says when and that is soon.
            $pause = $answer['retryAfterSeconds'] ?? 99;
            if ($try > 1 || ! ($answer['retryable'] ?? false) || $pause > 30) {
                return $answer;
            }
            sleep($pause);
        }
    }
}
