<?php

namespace App\Jobs;

use App\Services\Hangup;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Queue\SerializesModels;
use RuntimeException;

/** Disconnects one participant from a queue worker: dispatch(new DisconnectParticipant($conversation, $participant, 'fraud')). */
class DisconnectParticipant implements ShouldQueue
{
    use InteractsWithQueue, Queueable, SerializesModels;

    /** What is worth repeating is released at most this often; Laravel then marks the job as failed. */
    public int $tries = 5;

    /** Seconds until the next try when nothing answered. */
    public int $backoff = 3;

    /** Longer than the two requests of 90 s and the pause of 30 s that one attempt can take. retry_after must be longer still. */
    public int $timeout = 240;

    public function __construct(
        public string $conversation,
        public string $participant,
        public string $reason = 'user_request',
    ) {
    }

    public function handle(Hangup $hangup): void
    {
        $answer = $hangup->disconnect($this->conversation, $this->participant, $this->reason);
        // `gone`, then `outcome` or `code`, say how it went; the HTTP status says less.
        if (($answer['outcome'] ?? null) === 'would_disconnect') {
            $this->fail(new RuntimeException('observe mode: nobody was disconnected'));
        } elseif ($answer['ok'] && $answer['gone'] !== false) {
            return; // disconnected, accepted, already_disconnected, conversation_ended
        } elseif ($answer['ok']) {
            $this->release(10); // accepted, but still there when last seen; repeating is safe
        } elseif ($answer['retryable']) {
            $this->release($answer['retryAfterSeconds'] ?? 10);
        } else {
            // A wrong id, a refused key, a refusal of Genesys Cloud: retrying won't help.
            $this->fail(new RuntimeException("{$answer['code']}: {$answer['detail']}"));
        }
    }
}
