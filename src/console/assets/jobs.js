// Jobs: lists that are uploaded, and reports that are downloaded. Filled in with the pages of jobs.
"use strict";
