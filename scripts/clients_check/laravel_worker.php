<?php
// A Laravel queue without an application: dispatches clients/laravel's job into a database queue and runs Laravel's worker on it
// until nothing is left.  laravel_worker.php CONVERSATION_ID PARTICIPANT_ID. Says what became of each attempt; exit 1 if it failed.
declare(strict_types=1);
error_reporting(E_ALL & ~E_DEPRECATED); // Laravel 8 on PHP 8.2

use App\Jobs\DisconnectParticipant;
use App\Services\Hangup;
use Illuminate\Config\Repository;
use Illuminate\Container\Container;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Database\Capsule\Manager as Capsule;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Events\Dispatcher;
use Illuminate\Http\Client\Factory;
use Illuminate\Queue\Capsule\Manager as Queue;
use Illuminate\Queue\Connectors\DatabaseConnector;
use Illuminate\Queue\Events\JobFailed;
use Illuminate\Queue\Worker;
use Illuminate\Queue\WorkerOptions;
use Illuminate\Support\Facades\Facade;

foreach (['Http', 'Queue', 'Bus', 'Events', 'Config', 'Database'] as $part) {
    require_once "Illuminate/$part/autoload.php";
}
require_once 'GuzzleHttp/autoload.php';
require_once $argv[1] . '/Hangup.php';
require_once $argv[1] . '/DisconnectParticipant.php';

$app = new class extends Container {
    public function isDownForMaintenance(): bool
    {
        return false;
    }
};
Container::setInstance($app);
$app->instance(Illuminate\Contracts\Container\Container::class, $app);
Facade::setFacadeApplication($app);
function config(string $key): mixed // what the framework's helper does
{
    return Container::getInstance()['config'][$key];
}
$app['config'] = new Repository(['services' => ['hangup' => ['url' => getenv('HANGUP_URL'), 'key' => getenv('HANGUP_KEY')]]]);
$app->instance('events', new Dispatcher($app));
$app->alias('events', Illuminate\Contracts\Events\Dispatcher::class);
$app->singleton(Illuminate\Contracts\Bus\Dispatcher::class, fn ($app) => new Illuminate\Bus\Dispatcher($app));
$app->singleton(Factory::class);
$app->instance(ExceptionHandler::class, $handler = new class implements ExceptionHandler {
    public function report(Throwable $e): void
    {
        echo 'exception: ', $e->getMessage(), "\n";
    }

    public function shouldReport(Throwable $e): bool
    {
        return true;
    }

    public function render($request, Throwable $e): never
    {
        throw $e;
    }

    public function renderForConsole($output, Throwable $e): void
    {
    }
});

$database = new Capsule($app);
$database->addConnection(['driver' => 'sqlite', 'database' => ':memory:']);
$database->getConnection()->getSchemaBuilder()->create('jobs', function (Blueprint $table) {
    $table->bigIncrements('id');
    $table->string('queue');
    $table->longText('payload');
    $table->unsignedTinyInteger('attempts');
    foreach (['reserved_at', 'available_at', 'created_at'] as $time) {
        $table->unsignedInteger($time)->nullable();
    }
});
$queue = new Queue($app);
$queue->addConnection(['driver' => 'database', 'table' => 'jobs', 'queue' => 'default', 'retry_after' => 300]);
$manager = $queue->getQueueManager();
$manager->addConnector('database', fn () => new DatabaseConnector($database->getDatabaseManager()));

$failed = null;
$app['events']->listen(JobFailed::class, function (JobFailed $event) use (&$failed) {
    $failed = $event->exception->getMessage();
});
$manager->connection()->push(new DisconnectParticipant($argv[2], $argv[3]));
$worker = new Worker($manager, $app['events'], $handler, fn () => false);
$options = new WorkerOptions(sleep: 0, timeout: 0);
for ($attempts = 0; ($left = $database->getConnection()->table('jobs')->first()) !== null && $attempts < 10; ) {
    if ($left->available_at > time()) {
        usleep(100_000);
        continue;
    }
    $worker->runNextJob('default', 'default', $options);
    $attempts++;
}
echo $failed === null ? "done after $attempts attempts\n" : "failed after $attempts attempts: $failed\n";
exit($failed === null ? 0 : 1);
