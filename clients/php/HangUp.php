<?php

namespace App\Services;

use Illuminate\Support\Facades\Http;
use RuntimeException;

/** Hangs up one participant. For config/services.php: 'hangup' => ['url' => env('HANGUP_URL'), 'key' => env('HANGUP_KEY')]. */
class HangUp
{
    /**
     * Answers the outcome: disconnected, accepted, already_disconnected, conversation_ended, or would_disconnect (observe mode,
     * nobody was hung up).
     *
     * @throws RuntimeException when nobody was hung up; its message is the detail of the service, its code the HTTP status
     */
    public function participant(string $conversation, string $participant, string $reason = 'user_request'): string
    {
        for ($try = 1; ; $try++) {
            $response = Http::baseUrl(rtrim(config('services.hangup.url'), '/'))
                ->withHeaders(['X-API-Key' => config('services.hangup.key'), 'Prefer' => 'wait=5'])
                ->acceptJson()->timeout(90)
                ->withUrlParameters(['conversation' => $conversation, 'participant' => $participant])
                ->post('/conversations/{conversation}/participants/{participant}/disconnect', ['reason' => $reason]);
            $pause = $response->json('retryAfterSeconds') ?? 99;
            $busy = $response->json('retryable') && $pause <= 30;
            // Busy, and worth repeating: once, when it says so and not for long.
            if ($try > 1 || ! $busy) {
                break;
            }
            sleep($pause);
        }
        // `gone`, then `outcome` or `code`, say how it went; the HTTP status says less.
        $outcome = $response->json('outcome');
        if ($response->json('ok') === true && ($response->json('gone') !== false || $outcome === 'would_disconnect')) {
            return $outcome;
        }
        $detail = $response->json('detail') ?? ($outcome ? 'taken over, but still there when last seen' : 'something else than hangup answered');
        throw new RuntimeException($detail, $response->status());
    }
}
